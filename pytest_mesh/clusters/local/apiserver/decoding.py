"""Reads a built-in object as Kubernetes' Go types would: types checked, unknown fields dropped and named. Pure.

Empty lists and maps vanish as Go's ``omitempty`` makes them vanish. It does not know what
a value means: defaults of a kind are in ``defaults``, rules in ``rules``.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import builtins, errors, quantities

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json

_INT32 = 1 << 31
_BOUNDS = {"int32": 1 << 31, "int64": 1 << 63}
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_INDEX = re.compile(r"\[\d+\]")
_QUANTITY = [{"type": "string"}, {"type": "number"}]


def zero(schema: Any) -> Json:
    """Give what Go writes of a struct of which nothing is said."""
    schema = builtins.resolve(schema)
    found: Json = {}
    for name, known in (schema.get("properties") or {}).items():
        if "x-struct" in known:
            found[name] = zero(known)
        elif "x-null" in known or (name in schema.get("required", ()) and known.get("type") == "array"):
            found[name] = None
        elif known.get("default") in ("", 0, False):
            found[name] = known["default"]
    return found


_fillings: dict[int, tuple[tuple[str, Any], ...]] = {}
"""What :func:`_filled` gives, by the identity of the properties, which live as long as the process."""


def _filled(properties: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Give the fields of a struct that are written although nothing was said of them, with their values."""
    found = _fillings.get(id(properties))
    if found is None:
        found = _fillings[id(properties)] = tuple(
            (name, {} if known.get("default") is None and "x-struct" in known else known.get("default"))
            for name, known in properties.items()
            if known.get("default") is not None or "x-struct" in known or "x-null" in known
        )
    return found


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
    _owner: str = ""

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
            f"{given} into Go struct field {self._owner or self.kind}.{_INDEX.sub('', path)} of type {wanted}"
        )

    def _value(self, value: Any, schema: dict[str, Any], path: str) -> Any:
        micro = False
        if "$ref" in schema and isinstance(schema["$ref"], str):
            name = schema["$ref"].rpartition(".")[2]
            micro = name == "MicroTime"
            schema = builtins.resolve(schema)
            if "properties" in schema:
                outer, self._owner = self._owner, name
                result = self._struct(value, schema, schema["properties"], path, outer)
                self._owner = outer
                return result
        kind = schema.get("type")
        if kind == "string":
            if isinstance(value, str):
                return self._text(value, schema.get("format"), micro=micro)
            raise self._wrong(value, path, "time.Time" if schema.get("format") == "date-time" else "string")
        properties = schema.get("properties")
        if properties is not None:
            return self._struct(value, schema, properties, path, self._owner)
        if kind == "object":
            return self._map(value, schema, path)
        if kind == "array":
            if not isinstance(value, list):
                of = str(schema["items"].get("$ref", "")).rpartition(".")[2]
                raise self._wrong(value, path, f"[]v1.{of}" if of else "[]string")
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

    def _text(self, value: str, form: str | None, *, micro: bool) -> str:
        if form == "byte":
            try:
                base64.b64decode(value, validate=True)
            except ValueError as error:
                place = next((index for index, letter in enumerate(value) if letter not in _BASE64), len(value))
                raise self._unread(f"illegal base64 data at input byte {place}") from error
        elif form == "date-time" and (match := _TIME.fullmatch(value)) is None:
            layout = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
            raise self._unread(f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"')
        elif form == "date-time" and match is not None:
            if micro and len(match[2] or "") != 7:
                rest = value[len(match[1]) :]
                layout = "2006-01-02T15:04:05.000000Z07:00"
                raise self._unread(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as ".000000"')
            if not micro:
                return match[1] + match[3]
        return value

    def _unread(self, why: str) -> errors.StatusError:
        return errors.bad_request(f'{self.kind} in version "{self.version}" cannot be handled as a {self.kind}: {why}')

    def _struct(self, value: Any, schema: dict[str, Any], properties: dict[str, Any], path: str, outer: str) -> Json:
        if not isinstance(value, dict):
            wanted, self._owner = self._owner, outer
            raise self._wrong(value, path, f"v1.{wanted}")
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
            if "x-omit" in known and not decoded:
                continue
            # A Go slice or map that is empty is not written; a struct is ({} is how emptyDir is said).
            if (
                self.defaults
                and not decoded
                and isinstance(decoded, (list, dict))
                and name not in required
                and ("items" in known or "additionalProperties" in known)
            ):
                continue
            result[name] = decoded
        if self.defaults:
            for name, default in _filled(properties):
                if name not in result:
                    result[name] = {} if default == {} else default
        return result

    def _map(self, value: Any, schema: dict[str, Any], path: str) -> Json:
        if not isinstance(value, dict):
            inner = (schema.get("additionalProperties") or {}).get("format")
            raise self._wrong(value, path, "map[string][]uint8" if inner == "byte" else "map[string]string")
        inner = schema.get("additionalProperties")
        if not isinstance(inner, dict):
            return value
        empty = "" if inner.get("type") == "string" else None
        result: Json = {}
        for name, item in value.items():
            given = empty if item is None else item
            if given is not None:
                # Of a scalar in a map, Go says the map's name.
                result[name] = self._value(given, inner, path if "type" in inner else f"{path}.{name}")
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
        if schema["oneOf"] == _QUANTITY:
            try:
                return quantities.canonical(value if isinstance(value, str) else f"{value}")
            except ValueError as error:
                raise self._unread(str(error)) from error
        if isinstance(value, (int, float)) and not (isinstance(value, int) and -_INT32 <= value < _INT32):
            raise self._wrong(value, path, "int32")
        return value
