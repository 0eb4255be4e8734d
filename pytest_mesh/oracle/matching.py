"""Whether a condition, and a block of them, takes a request; a miss is told in words (M2-M16)."""

from __future__ import annotations

import re
import warnings

from pytest_mesh.oracle.errors import Malformed, Unsupported
from pytest_mesh.oracle.fields import Line
from pytest_mesh.oracle.model import MESH, Block, Condition, Source, StringMatch
from pytest_mesh.oracle.requests import Seen

_NOT_RE2 = re.compile(r"\(\?(?:[=!]|<[=!]|P=|\(|#)|\\[1-9ZGuU]|\[\[:|[*+?}]\+|\(\?>")
"""What Python knows and RE2 does not (or means otherwise)."""


def check_regex(pattern: str, line: Line) -> None:
    """Refuse a pattern that RE2 does not take, or that this side cannot read as RE2 does."""
    found = _NOT_RE2.search(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern, re.ASCII)
    except (re.error, Warning) as error:
        raise Unsupported(f"{line}: {pattern!r}: {error}") from error
    if found:
        raise Unsupported(f"{line}: {pattern!r}: the oracle does not read {found.group()!r} as RE2 does")


def check_substitution(pattern: str, replacement: str, line: Line) -> None:
    """Refuse a replacement that names a group which the pattern lacks: a proxy takes no such configuration."""
    highest = max((int(digit) for digit in re.findall(r"\\(\d)", replacement)), default=0)
    if highest > re.compile(pattern, re.ASCII).groups:
        raise Malformed(f"{line}: {replacement!r} names group {highest}, which {pattern!r} lacks")


def takes(match: StringMatch, value: str, *, ignore_case: bool = False) -> bool:
    """Whether a string fulfils a match. ``ignore_case`` counts for exact and prefix only (M5)."""
    wanted = match.value
    if match.kind == "regex":
        return re.fullmatch(wanted, value, re.ASCII) is not None
    if ignore_case:
        wanted, value = wanted.lower(), value.lower()
    if match.kind == "exact":
        return value == wanted
    return match.kind == "present" or value.startswith(wanted)


def miss(condition: Condition, request: Seen) -> str:
    """Say why a request does not fulfil a condition; empty when it does."""
    match = condition.match
    if condition.where == "without-header":
        # M8: a missing header reads as an empty one, unless the condition is about presence.
        value = request.header(condition.name)
        met = value is not None if match.kind == "present" else takes(match, value or "")
        what = "is absent" if value is None else f"is {value!r}"
        return f"header {condition.name} must not be {match}, but {what}" if met else ""
    value = _value(condition, request)
    name = f"{condition.where} {condition.name}".strip()
    if value is None:
        return f"{name} is absent, {match} is wanted"
    if takes(match, value, ignore_case=condition.ignore_case):
        return ""
    return f"{name} is {value!r}, {match}{' in any case' if condition.ignore_case else ''} is wanted"


def block_miss(block: Block, request: Seen) -> str:
    """Say why a request does not match a block, with the condition's line; empty when it does."""
    for condition in block.conditions:
        reason = miss(condition, request)
        if reason:
            return f"{reason} ({condition.line})"
    return ""


def filtered(block: Block, source: Source, port: int) -> str:
    """Say why a block does not exist for this client and port (M11-M14); empty when it does."""
    if block.port and block.port != port:
        return f"it is for port {block.port}"
    if block.gateways:
        return "" if MESH in block.gateways else f"it is for gateways {', '.join(block.gateways)}"
    for key, value in block.source_labels.items():
        if source.labels.get(key) != value:
            return f"the client has no label {key}={value}"
    if block.source_namespace and block.source_namespace != source.namespace:
        return f"it is for clients in namespace {block.source_namespace}"
    return ""


def _value(condition: Condition, request: Seen) -> str | None:
    match condition.where:
        case "uri":
            return request.path
        case "scheme":
            return "http"
        case "method":
            return request.method
        case "authority":
            return request.authority
        case "query":
            return request.parameter(condition.name)
        case _:
            return request.header(condition.name)
