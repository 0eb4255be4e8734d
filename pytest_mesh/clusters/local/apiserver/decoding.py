"""Reads a built-in object as Kubernetes' Go types would: types checked, unknown fields dropped and named. Pure.

Empty lists and maps vanish as Go's ``omitempty`` makes them vanish. It does not know what
a value means: defaults of a kind are in ``defaults``, rules in ``rules``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import builtins, errors

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

_BOUNDS = {"int32": 1 << 31, "int64": 1 << 63}
_QUANTITY = [{"type": "string"}, {"type": "number"}]


@dataclass(slots=True)
class Decoder:
    """Reads one object. ``unknown`` are the paths of the fields that no Go type has, in order of appearance.

    With ``defaults`` false, the schema's own defaults are left out: an applied
    configuration must hold what its author wrote and no more.
    """

    kind: str
    version: str
    defaults: bool = True
    unknown: list[str] = field(default_factory=list)

    def decode(self, obj: Json, schema: Any) -> Json:
        """Give ``obj`` as its Go type would hold it; raises StatusError 400 for a value of a wrong type."""
        decoded: Json = self._value(obj, schema, "")
        return decoded

    def _wrong(self, value: Any, path: str, wanted: str) -> errors.StatusError:
        given = {dict: "object", list: "array", str: "string", bool: "bool"}.get(type(value), "number")
        if given == "number":
            given = f"number {value}" if wanted.startswith("int") else given
        return errors.bad_request(
            f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: json: cannot unmarshal '
            f"{given} into Go struct field {self.kind}.{path} of type {wanted}"
        )

    def _value(self, value: Any, schema: dict[str, Any], path: str) -> Any:
        if "$ref" in schema and isinstance(schema["$ref"], str):
            schema = builtins.resolve(schema)
        kind = schema.get("type")
        if kind == "string":
            if isinstance(value, str):
                return value
            raise self._wrong(value, path, "time.Time" if schema.get("format") == "date-time" else "string")
        properties = schema.get("properties")
        if properties is not None:
            return self._struct(value, schema, properties, path)
        if kind == "object":
            return self._map(value, schema, path)
        if kind == "array":
            if not isinstance(value, list):
                raise self._wrong(value, path, "[]" + str(schema["items"].get("$ref", "string")).rpartition(".")[2])
            items = schema["items"]
            return [
                self._value(item, items, f"{path}[{index}]") for index, item in enumerate(value) if item is not None
            ]
        if kind in ("integer", "number"):
            return self._number(value, schema, path)
        if kind == "boolean":
            if isinstance(value, bool):
                return value
            raise self._wrong(value, path, "bool")
        if "oneOf" in schema:
            return self._one_of(value, schema, path)
        return value

    def _struct(self, value: Any, schema: dict[str, Any], properties: dict[str, Any], path: str) -> Json:
        if not isinstance(value, dict):
            raise self._wrong(value, path, str(schema.get("x-go-name", "struct")))
        required = schema.get("required", ())
        result: Json = {}
        prefix = f"{path}." if path else ""
        for name, inner in value.items():
            known = properties.get(name)
            if known is None:
                self.unknown.append(f"{prefix}{name}")
                continue
            if inner is None:
                continue
            decoded = self._value(inner, known, f"{prefix}{name}")
            # A Go slice or map that is empty is not written; a struct is ({} is how emptyDir is said).
            if decoded in ([], {}) and name not in required and ("items" in known or "additionalProperties" in known):
                continue
            result[name] = decoded
        if self.defaults:
            for name, known in properties.items():
                default = known.get("default")
                if default is not None and name not in result:
                    result[name] = default
        return result

    def _map(self, value: Any, schema: dict[str, Any], path: str) -> Json:
        if not isinstance(value, dict):
            raise self._wrong(value, path, "map[string]string")
        inner = schema.get("additionalProperties")
        if not isinstance(inner, dict):
            return value
        empty = "" if inner.get("type") == "string" else None
        result: Json = {}
        for name, item in value.items():
            given = empty if item is None else item
            if given is not None:
                result[name] = self._value(given, inner, f"{path}.{name}")
        return result

    def _number(self, value: Any, schema: dict[str, Any], path: str) -> Any:
        wanted = str(schema.get("format", "int64" if schema["type"] == "integer" else "float64"))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(value, path, wanted)
        if schema["type"] == "integer":
            if isinstance(value, float):
                if not value.is_integer():
                    raise self._wrong(value, path, wanted)
                value = int(value)
            bound = _BOUNDS.get(wanted, 1 << 63)
            if not -bound <= value < bound:
                raise self._wrong(value, path, wanted)
        return value

    def _one_of(self, value: Any, schema: dict[str, Any], path: str) -> Any:
        if isinstance(value, (dict, list, bool)):
            raise self._wrong(value, path, "string")
        if schema["oneOf"] == _QUANTITY and not isinstance(value, str):
            return f"{value:g}" if isinstance(value, float) else str(value)
        return value
