"""``/openapi/v2``, as JSON and as the protobuf message that kubectl asks for. Pure over the registry.

kubectl falls back to it for kinds that ``/openapi/v3`` has not: a ``List``, a kind that is not served, and
``explain --output=plaintext-openapiv2``. It holds the definitions; its paths are empty, for v3 has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import orjson

from pytest_mesh.clusters.local.apiserver import openapi
from pytest_mesh.protobuf_wire import field

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import Registry
    from pytest_mesh.contracts import Json

_REF: Final = "#/definitions/"
_ANSWERED: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ASKED: Final = (_ANSWERED, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
"""The second is what kubectl asks for; it is no media type, and Go refuses it in an answer."""
_KEPT: Final = ("type", "format", "required", "enum", "default")


def protobuf_type(accept: str) -> str:
    """Give the media type of the answer where the client prefers the protobuf form; empty = JSON."""
    first = accept.split(",", maxsplit=1)[0].partition(";")[0].strip()
    return _ANSWERED if first in _ASKED else ""


def document(registry: Registry) -> Json:
    """Give the whole document."""
    definitions: dict[str, Any] = {}
    for group, version in dict.fromkeys((info.group, info.version) for info in registry.all()):
        found = openapi.document(registry, group, version) or {}
        for name, schema in found["components"]["schemas"].items():
            if name not in definitions:
                definitions[name] = _schema(schema)
    return {"swagger": "2.0", "info": openapi.INFO, "paths": {}, "definitions": dict(sorted(definitions.items()))}


def _schema(schema: Json) -> Json:
    """Give a schema in the words of version 2, which has no oneOf and no null, and references beside a description."""
    found: Json = {name: schema[name] for name in _KEPT if name in schema}
    if schema.get("description"):
        found["description"] = schema["description"]
    reference = schema.get("$ref") or next((one["$ref"] for one in schema.get("allOf") or () if "$ref" in one), None)
    if reference is not None:
        kept = {"description": found["description"]} if "description" in found else {}
        return {"$ref": _REF + reference.removeprefix(openapi.REF), **kept}
    found |= {name: value for name, value in schema.items() if name.startswith("x-kubernetes-")}
    if "oneOf" in schema and "type" not in schema:
        found["type"] = "string"
    if schema.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return found
    if "properties" in schema:
        found["properties"] = {name: _schema(inner) for name, inner in schema["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            found[name] = _schema(schema[name])
    return found


def packed(document: Json) -> bytes:
    """Give the document as a message ``openapi.v2.Document``, whose numbers are gnostic's."""
    info = field(1, document["info"]["title"]) + field(2, document["info"]["version"])
    return b"".join(
        (
            field(1, document["swagger"]),
            field(2, info),
            field(8, b""),
            field(9, _named(document["definitions"])),
        )
    )


def _named(schemas: Json) -> bytes:
    return b"".join(field(1, field(1, name) + field(2, _message(inner))) for name, inner in schemas.items())


def _message(schema: Json) -> bytes:
    return b"".join(_parts(schema))


def _parts(schema: Json) -> Iterator[bytes]:
    for number, name in ((1, "$ref"), (2, "format"), (4, "description")):
        if schema.get(name):
            yield field(number, schema[name])
    for name in schema.get("required") or ():
        yield field(19, name)
    for value in schema.get("enum") or ():
        yield field(20, _any(value))
    if isinstance(schema.get("additionalProperties"), dict):
        yield field(21, field(1, _message(schema["additionalProperties"])))
    if schema.get("type"):
        yield field(22, field(1, schema["type"]))
    if "items" in schema:
        yield field(23, field(1, _message(schema["items"])))
    if "properties" in schema:
        yield field(25, _named(schema["properties"]))
    for name in _extensions(schema):
        yield field(31, field(1, name) + field(2, _any(schema[name])))


def _extensions(schema: Json) -> Iterable[str]:
    return (name for name in schema if name.startswith("x-kubernetes-"))


def _any(value: Any) -> bytes:
    """Give a value as gnostic's Any, whose text is YAML; JSON is YAML."""
    return field(2, orjson.dumps(value).decode())
