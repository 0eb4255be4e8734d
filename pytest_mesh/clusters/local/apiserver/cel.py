"""Checks the ``x-kubernetes-validations`` of a CRD. cel-python is imported at the first rule, not before.

A rule that cel-python or this module cannot read is not judged; a warning says so on every
write that it would have judged. Sizes and costs of expressions are not estimated.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver.errors import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

logger = logging.getLogger(__name__)

RULES = "x-kubernetes-validations"
MACROS = frozenset(("has", "all", "exists", "exists_one", "map", "filter", "dyn"))
UNPARSED = "cannot be parsed"
ABSENT = object()

_LEVELS = frozenset(("expr", "conditionalor", "conditionaland", "relation", "addition", "multiplication", "unary"))

_ruled: dict[int, tuple[Any, bool]] = {}
"""Whether a schema or anything below it has rules, by the schema's identity; the schema is kept, so that it stays its own."""


class UnreadableRuleError(Exception):
    """A rule that this server cannot compile; the message says why."""


def check(info: ResourceInfo, obj: Json, old: Json | None, warnings: list[str]) -> Iterator[Cause]:
    """Give the faults that the CRD's rules find; ``warnings`` takes a line for each rule that could not be judged."""
    if has_rules(info.schema):
        yield from _walk(obj, ABSENT if old is None else old, info.schema, "", warnings)


def condition_fault(expression: str) -> str | None:
    """Give why a webhook's condition is none that answers yes or no, or None; only of constants it is known."""
    return _fault(expression, "must evaluate to bool but got string")


def rule_fault(rule: str) -> str | None:
    """Give why a CRD's rule is none that answers yes or no, or None; only of constants it is known."""
    return _fault(rule, "cel expression must evaluate to a bool")


def _fault(expression: str, not_bool: str) -> str | None:
    program = _program(expression)
    if isinstance(program, _Unreadable):
        # A function that only this server lacks is no fault of the rule: it is not judged, and each write says so.
        return f"compilation failed: {program.why}" if program.why.startswith(UNPARSED) else None
    try:
        constant = program.evaluate({})
    except Exception:  # noqa: BLE001 - it needs variables, so it is no constant
        return None
    return not_bool if isinstance(constant, str) else None


def has_rules(schema: Any) -> bool:
    """Say whether a schema or anything below it has rules."""
    known = _ruled.get(id(schema))
    if known is None:
        inner = [*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties")]
        has = bool(schema.get(RULES)) or any(isinstance(one, dict) and has_rules(one) for one in inner)
        known = _ruled[id(schema)] = (schema, has)
    return known[1]


def _walk(value: Any, old: Any, schema: Any, path: str, warnings: list[str]) -> Iterator[Cause]:
    if value is None or not has_rules(schema):
        return
    for rule in schema.get(RULES, ()):
        yield from _judge(rule, value, old, schema, path, warnings)
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        for name, inner in value.items():
            known = properties.get(name, additional)
            if isinstance(known, dict):
                before = old.get(name, ABSENT) if isinstance(old, dict) else ABSENT
                here = f"{path}[{name}]" if name not in properties else f"{path}.{name}" if path else name
                yield from _walk(inner, before, known, here, warnings)
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for index, inner in enumerate(value):
            before = _counterpart(inner, old, schema)
            yield from _walk(inner, before, schema["items"], f"{path}[{index}]", warnings)


def _counterpart(item: Any, old: Any, schema: Any) -> Any:
    """Give the old form of a list's item: known by its keys, unknowable in an atomic list."""
    keys = schema.get("x-kubernetes-list-map-keys")
    if not keys or not isinstance(old, list) or not isinstance(item, dict):
        return ABSENT
    same = (o for o in old if isinstance(o, dict) and all(o.get(key) == item.get(key) for key in keys))
    return next(same, ABSENT)


def _judge(rule: Json, value: Any, old: Any, schema: Any, path: str, warnings: list[str]) -> Iterator[Cause]:
    text = rule["rule"]
    transition = "oldSelf" in text
    optional = bool(rule.get("optionalOldSelf"))
    if transition and old is ABSENT and not optional:
        return
    if transition and optional:
        _warn(path, text, "optionalOldSelf is not supported", warnings)
        return
    shown = f'"{_type(value)}"'
    try:
        holds, failure = _evaluate(text, value, old, schema)
    except UnreadableRuleError as error:
        _warn(path, text, str(error), warnings)
        return
    if failure:
        message = (
            f"Invalid value: {shown}: rule evaluation error: {failure} evaluating rule: {rule.get('message', text)}"
        )
    elif holds:
        return
    else:
        why = _message(rule, value, old, schema)
        message = {
            "FieldValueForbidden": f"Forbidden: {why}",
            "FieldValueRequired": f"Required value: {why}",
            "FieldValueDuplicate": f"Duplicate value: {shown}",
        }.get(rule.get("reason") or "", f"Invalid value: {shown}: {why}")
    where = rule.get("fieldPath", "")
    yield Cause(
        field=f"{path}{where}" if path else where.lstrip(".") or "<nil>",
        message=message,
        reason=rule.get("reason") or "FieldValueInvalid",
    )


def _warn(path: str, rule: str, why: str, warnings: list[str]) -> None:
    line = f"{path or '<root>'}: this CEL rule is not judged by the embedded cluster ({why}): {rule}"
    logger.warning("%s", line)
    warnings.append(line)


def _message(rule: Json, value: Any, old: Any, schema: Any) -> str:
    expression = rule.get("messageExpression")
    if expression:
        try:
            text, failure = _evaluate(expression, value, old, schema)
        except UnreadableRuleError:
            text, failure = None, "unreadable"
        if not failure and text:
            return str(text)
    return str(rule.get("message") or f"failed rule: {rule['rule'].strip()}")


def _type(value: Any) -> str:
    """Give the OpenAPI type of a value: it is what Kubernetes shows of a value that a rule refuses."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "object")


def _evaluate(text: str, value: Any, old: Any, schema: Any) -> tuple[Any, str]:
    """Give an expression's value, or why it could not be evaluated; raises UnreadableRuleError."""
    from celpy.evaluation import CELEvalError

    program = _program(text)
    variables = {"self": _to_cel(value, schema)}
    if old is not ABSENT:
        variables["oldSelf"] = _to_cel(old, schema)
    try:
        result = program.evaluate(variables)
    except (CELEvalError, ValueError, TypeError, KeyError, IndexError) as error:
        return None, _brief(error)
    if isinstance(result, CELEvalError):
        return None, _brief(result)
    return result, ""


def _brief(error: Exception) -> str:
    """Give what went wrong without the interpreter's whole state, which cel-python puts into its messages."""
    text = str(error.args[0]) if error.args else str(error)
    if text.startswith("no such member in mapping: "):
        return f"no such key: {text.rpartition(': ')[2].strip(chr(39))}"
    return text.partition(" (in activation")[0][:200]


def _to_cel(value: Any, schema: Any) -> Any:
    """Give a JSON value as CEL sees it through its schema: times are timestamps, numbers doubles."""
    from celpy import celtypes

    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        fallback = additional if isinstance(additional, dict) else {}
        return celtypes.MapType(
            {_escape(k): _to_cel(v, properties.get(k, fallback)) for k, v in value.items() if v is not None}
            if properties
            else {celtypes.StringType(k): _to_cel(v, fallback) for k, v in value.items() if v is not None}
        )
    if isinstance(value, list):
        items = schema.get("items")
        return celtypes.ListType([_to_cel(item, items if isinstance(items, dict) else {}) for item in value])
    if isinstance(value, bool):
        return celtypes.BoolType(value)
    if isinstance(value, str):
        if schema.get("format") == "date-time":
            return celtypes.TimestampType(value)
        if schema.get("format") == "duration":
            return celtypes.DurationType(value)
        return celtypes.StringType(value)
    if isinstance(value, float) or schema.get("type") == "number":
        return celtypes.DoubleType(value)
    return None if value is None else celtypes.IntType(value)


def _escape(name: str) -> Any:
    """Give a field's name as rules write it."""
    from celpy import celtypes

    if name in _RESERVED:
        return celtypes.StringType(f"__{name}__")
    for sign, word in (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")):
        name = name.replace(sign, word) if sign in name else name
    return celtypes.StringType(name)


_RESERVED = frozenset(
    (
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    )
)


@functools.lru_cache(maxsize=4096)
def _program(text: str) -> Any:
    import celpy
    from celpy.celparser import CELParseError
    from celpy.evaluation import base_functions

    from pytest_mesh.clusters.local.apiserver import celfunctions

    try:
        tree = _environment().compile(text)
    except CELParseError as error:
        reason = str(error.args[0]).splitlines()[0]
        return _unreadable(f"{UNPARSED}: {reason}")
    own = celfunctions.functions()
    for node in tree.iter_subtrees():
        if node.data in ("ident_arg", "member_dot_arg"):
            name = str(node.children[0 if node.data == "ident_arg" else 1])
            if name not in MACROS and name not in own and name not in base_functions:
                return _unreadable(f"unknown function {name}()")
    program: celpy.Runner = _environment().program(_compact(tree), functions=own)
    return program


def _compact(tree: Any) -> Any:
    """Leave out the levels of the grammar that add nothing to their one child: most of an evaluation's time."""
    tree.children = [_compact(child) if hasattr(child, "children") else child for child in tree.children]
    return tree.children[0] if tree.data in _LEVELS and len(tree.children) == 1 else tree


class _Unreadable:
    def __init__(self, why: str) -> None:
        self.why = why

    def evaluate(self, _variables: Any) -> Any:
        raise UnreadableRuleError(self.why)


def _unreadable(why: str) -> _Unreadable:
    """Give what stands for a program that cannot be: it is cached like one."""
    return _Unreadable(why)


@functools.cache
def _environment() -> Any:
    import celpy

    return celpy.Environment()
