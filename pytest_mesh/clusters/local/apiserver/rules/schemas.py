"""Whether an OpenAPI schema of a CRD is structural and sound: types, lists, defaults, patterns, CEL rules. Pure.

The cost of CEL rules is not estimated, and only constants have their type judged: a real API server refuses more here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import cel, structural, validation
from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.rules.faults import forbidden, required, unsupported, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.contracts import Json

TYPES = ("array", "boolean", "integer", "number", "object", "string")
LISTS = ("atomic", "set", "map")
RULES = "x-kubernetes-validations"
_JUNCTIONS = ("allOf", "anyOf", "oneOf")
_ONLY_OUTSIDE = ("type", "default", "nullable", "title", "description", "additionalProperties")


def check(schema: Json, path: str) -> Iterator[Cause]:
    """Check a schema and everything below it."""
    yield from _one(schema, path)
    for at, inner in _children(schema, path):
        free = inner.get("x-kubernetes-int-or-string") or inner.get("x-kubernetes-preserve-unknown-fields")
        if not inner.get("type") and not free:
            yield required(f"{at}.type", "must not be empty for specified object fields")
        yield from check(inner, at)


def _children(schema: Json, path: str) -> Iterator[tuple[str, Json]]:
    for name, inner in (schema.get("properties") or {}).items():
        yield f"{path}.properties[{name}]", inner
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), dict):
            yield f"{path}.{keyword}", schema[keyword]


def _one(schema: Json, path: str) -> Iterator[Cause]:
    kind = schema.get("type", "")
    if kind and kind not in TYPES:
        yield unsupported(f"{path}.type", kind, TYPES)
    if "$ref" in schema:
        yield forbidden(f"{path}.$ref", "$ref is not supported")
    if schema.get("uniqueItems"):
        yield forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    elif kind == "array" and schema.get("items") is None:
        yield required(f"{path}.items", "must be specified")
    if schema.get("properties") and schema.get("additionalProperties") not in (None, False):
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    pattern = schema.get("pattern")
    if pattern:
        try:
            re.compile(pattern.replace("\\z", "\\Z"))
        except re.error as error:
            why = "missing closing )" if "unterminated subpattern" in error.msg else error.msg
            text = f"must be a valid regular expression, but isn't: error parsing regexp: {why}: `{pattern}`"
            yield wrong(f"{path}.pattern", pattern, text)
    yield from _list(schema, path)
    yield from _default(schema, path)
    yield from _rules(schema.get(RULES) or [], f"{path}.{RULES}")
    for junction in _JUNCTIONS:
        for index, inner in enumerate(schema.get(junction) or ()):
            yield from _junction(inner, f"{path}.{junction}[{index}]", top=not schema.get("x-kubernetes-int-or-string"))
    if isinstance(schema.get("not"), dict):
        yield from _junction(schema["not"], f"{path}.not", top=True)


def _junction(schema: Json, path: str, *, top: bool) -> Iterator[Cause]:
    """Check that a branch says nothing that only the schema around it may say."""
    for name in _ONLY_OUTSIDE:
        if name in schema and (top or name != "type"):
            yield forbidden(f"{path}.{name}", "must be empty to be structural")
    for at, inner in _children(schema, path):
        yield from _junction(inner, at, top=True)


def _list(schema: Json, path: str) -> Iterator[Cause]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys") or []
    given = schema.get("items")
    items: Json = given if isinstance(given, dict) else {}
    if kind is not None and kind not in LISTS:
        yield unsupported(f"{path}.x-kubernetes-list-type", kind, LISTS, ordered=False)
    if kind != "map":
        return
    if not keys:
        yield required(f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map")
    if items.get("type") != "object":
        text = "must be object if parent array's x-kubernetes-list-type is map"
        yield wrong(f"{path}.items.type", items.get("type", ""), text)
    for key in keys:
        known = (items.get("properties") or {}).get(key)
        if known is not None and key not in (items.get("required") or ()) and "default" not in known:
            text = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
            yield required(f"{path}.items.properties[{key}].default", text)


def _default(schema: Json, path: str) -> Iterator[Cause]:
    if schema.get("default") is None:
        return
    value: Any = schema["default"]
    _, dropped = structural.prune(value, schema, root=False)
    if dropped:
        yield wrong(f"{path}.default", value, "must not have unknown fields")
    for fault in validation.validate(value, schema):
        at = f"{path}.default" + (f".{fault.field}" if fault.field not in ("", "<nil>") else "")
        yield Cause(field=at, message=fault.message.replace(": in body", ":  in body"), reason=fault.reason)


def _rules(rules: list[Json], path: str) -> Iterator[Cause]:
    for index, rule in enumerate(rules):
        at, text, message = f"{path}[{index}]", rule.get("rule", ""), rule.get("message", "")
        if not text.strip():
            yield required(f"{at}.rule", "rule is not specified")
        elif (fault := cel.rule_fault(text)) is not None:
            shown = {
                "Rule": text, "Message": message, "MessageExpression": rule.get("messageExpression", ""),
                "Reason": rule.get("reason"), "FieldPath": rule.get("fieldPath", ""), "OptionalOldSelf": rule.get("optionalOldSelf"),
            }  # fmt: skip
            yield wrong(f"{at}.rule", shown, fault)
        if "\n" in message:
            yield wrong(f"{at}.message", message.replace("\n", "\\n"), "must not contain line breaks")
