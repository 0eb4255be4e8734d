"""A typed definition as the structural OpenAPI schema of a CustomResourceDefinition.

It writes the shape (types, names, oneofs, sizes) and, as CEL, those of Galley's rules that CEL can say; their
messages end with Galley's sentence and rule id, so that a refusal reads alike from either.
"""

from __future__ import annotations

from typing import Any

from mesh_reference.model.schema.types import (
    Binary,
    Choice,
    Duration,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Message,
    Number,
    Rule,
    Text,
    Type,
)

Json = dict[str, Any]

STATUS_SCHEMA: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def schema_of(definition: Type) -> Json:
    """The structural schema of one type, with its rules."""
    schema = _shape(definition)
    rules: tuple[Rule, ...] = getattr(definition, "rules", ())
    if rules:
        schema["x-kubernetes-validations"] = [_rule(rule) for rule in rules]
    return schema


def _rule(rule: Rule) -> Json:
    written: Json = {"rule": rule.expression, "message": f"{rule.message} [{rule.rule}]"}
    if rule.says:
        written["messageExpression"] = f"{rule.says} + ' [{rule.rule}]'"
    if rule.at:
        written["fieldPath"] = rule.at
    return written


def _shape(definition: Type) -> Json:
    match definition:
        case Text():
            return _sized("maxLength", definition.at_most, {"type": "string"})
        case Duration():
            return {"type": "string", "description": "A duration such as 500ms, 1.5s or 1h30m."}
        case Binary():
            return {"type": "string", "format": "byte"}
        case Flag():
            return {"type": "boolean"}
        case Number():
            return {"type": "number", "format": "double"}
        case Integer():
            return _integer(definition)
        case Choice():
            return {"type": "string", "enum": list(definition.names)}
        case ListOf():
            return _sized("maxItems", definition.at_most, {"type": "array", "items": schema_of(definition.item)})
        case MapOf():
            inner = {"type": "object", "additionalProperties": schema_of(definition.value)}
            return _sized("maxProperties", definition.at_most, inner)
        case Message():
            return _message(definition)


def _sized(keyword: str, at_most: int | None, schema: Json) -> Json:
    return schema if at_most is None else {**schema, keyword: at_most}


def _integer(definition: Integer) -> Json:
    schema: Json = {"type": "integer"}
    if definition.maximum == 2**31 - 1:
        schema |= {"format": "int32", "minimum": definition.minimum, "maximum": definition.maximum}
        return schema  # an API server takes any whole number for an int32 without the bounds
    schema["format"] = "int64"
    schema["minimum"] = definition.minimum
    if definition.maximum == 2**32 - 1:
        schema["maximum"] = definition.maximum
    return schema


def _message(definition: Message) -> Json:
    properties: Json = {}
    for name, field_type in definition.fields.items():
        schema = schema_of(field_type)
        if name in definition.descriptions:
            schema = {"description": definition.descriptions[name], **schema}
        properties[name] = schema
    result: Json = {"type": "object", "properties": properties}
    exclusive = [_at_most_one(group) for group in definition.one_of]
    if len(exclusive) == 1:
        result["oneOf"] = exclusive[0]
    elif exclusive:
        result["allOf"] = [{"oneOf": group} for group in exclusive]
    return result


def _at_most_one(group: tuple[str, ...]) -> list[Json]:
    each: list[Json] = [{"required": [name]} for name in group]
    return [{"not": {"anyOf": each}}, *each]
