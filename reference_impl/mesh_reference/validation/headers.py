"""Rules about HTTP headers and string matches in routes.

Names and values that Envoy would refuse, and matches that can match nothing. It
knows no resource kind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import quote
from mesh_reference.validation.regexp import RegexpError, check_regexp

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~A-Za-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PSEUDO_HEADERS = frozenset({":method", ":scheme", ":authority", ":path", ":status"})
_CLAIM_PREFIX = "@request.auth.claims"
_MAX_REGEX = 1024


def is_claim(name: str) -> bool:
    """Whether a header name stands for a JWT claim: ``@request.auth.claims.group`` or ``...[group]``."""
    if not name.lower().startswith(_CLAIM_PREFIX):
        return False
    rest = name[len(_CLAIM_PREFIX) :]
    return (rest.startswith(".") and len(rest) > 1) or (rest.startswith("[") and rest.endswith("]") and len(rest) > 2)


def is_authority(name: str) -> bool:
    """Whether a header, by either of its names, is the request's authority."""
    return name.lower() in {":authority", "host"}


def check_match_header_name(out: Findings, path: Path, name: str) -> None:
    """A token, a pseudo-header or a claim (V18a)."""
    if not name:
        out.error(path, "V18a", "header name cannot be empty")
    elif not is_claim(name) and name not in _PSEUDO_HEADERS and not _TOKEN.fullmatch(name):
        out.error(path, "V18a", f"header name {name} is not a valid header name")


def check_cors_header_name(out: Findings, path: Path, name: str) -> None:
    """A token; ``*`` is one (V35d)."""
    if not name:
        out.error(path, "V35d", "header name cannot be empty")
    elif not _TOKEN.fullmatch(name):
        out.error(path, "V35d", f"header name {name} is not a valid header name")


def check_header_operations(out: Findings, path: Path, headers: Mapping[str, Any] | None) -> None:
    """``headers`` of a route or of a destination: what may be set, added and removed (V18, V19)."""
    for direction in ("request", "response"):
        operations = (headers or {}).get(direction) or {}
        for operation in ("add", "set"):
            for name, value in (operations.get(operation) or {}).items():
                here = (*path, direction, operation, name)
                if direction == "request":
                    _check_request_name(out, here, name)
                else:
                    _check_name(out, here, name)
                problem = header_value_problem(value)
                if problem:
                    out.error(here, "V18b", problem)
        for index, name in enumerate(operations.get("remove") or ()):
            _check_name(out, (*path, direction, "remove", index), name)


def _check_request_name(out: Findings, path: Path, name: str) -> None:
    if not name:
        out.error(path, "V18a", "header name cannot be empty")
    elif name.startswith(":") and not is_authority(name):
        out.error(path, "V19a", f'invalid header {quote(name)}: header cannot have ":" prefix')


def _check_name(out: Findings, path: Path, name: str) -> None:
    if not name:
        out.error(path, "V18a", "header name cannot be empty")
    elif name.lower() == "host":
        out.error(path, "V19b", f"invalid header {quote(name)}: cannot set Host header")
    elif name.startswith(":"):
        out.error(path, "V19a", f'invalid header {quote(name)}: header cannot have ":" prefix')


def header_value_problem(value: str) -> str:
    """Why Envoy would refuse the value: a control character, or a ``%`` that is neither escaped nor closed."""
    if _CONTROL.search(value):
        return f"header value configuration {value!r} is invalid"
    problem = _format_problem(value)
    return f"header value configuration: invalid header configuration. {problem}" if problem else ""


def _format_problem(value: str) -> str:
    at, state = 0, "literal"
    while at < len(value):
        char = value[at]
        last = at + 1 == len(value)
        if state == "literal" and char == "%":
            if last:
                return "Un-escaped %"
            if value[at + 1] == "%":
                at += 1
            else:
                state = "name"
        elif state == "name" and char in "%(":
            state = "literal" if char == "%" else "array"
        elif state == "array" and char != " ":
            state = "quote" if char == "[" else "string"
        elif state == "quote" and char != " ":
            if char != '"':
                return "Expecting '\"'"
            state = "string"
        elif state == "string" and char in '\\)"':
            if char == "\\":
                if last:
                    return "Un-terminated backslash in JSON string"
                at += 1
            else:
                state = "close" if char == ")" else "delimiter"
        elif state == "delimiter" and char != " ":
            if char not in ",]":
                return "Expecting ',', ']', or whitespace"
            state = "quote" if char == "," else "end"
        elif state == "end" and char != " ":
            if char != ")":
                return "Expecting ')' or whitespace after '{}', but found '{}'"
            state = "close"
        elif state == "close" and char != " ":
            if char != "%":
                return "Expecting '%' or whitespace after"
            state = "literal"
        at += 1
    return "" if state == "literal" else f"Un-terminated variable expression '{value}'"


def check_string_match(
    out: Findings, path: Path, match: Mapping[str, Any] | None, where: str, *, empty_prefix: bool = False
) -> None:
    """A prefix that is not empty, and a regex that RE2 takes (V21, V22)."""
    if not match:
        return
    if match.get("prefix") == "" and not empty_prefix:
        out.error((*path, "prefix"), "V21", f"{quote(where)}: prefix string match should not be empty")
    if match.get("regex") is not None:
        check_regex(out, (*path, "regex"), match["regex"], where)


def check_regex(out: Findings, path: Path, regex: str, where: str) -> None:
    """Not empty, not longer than Envoy's program limit allows, and RE2 (V22)."""
    if not regex:
        out.error(path, "V22a", f"{quote(where)}: regex string match should not be empty")
    elif len(regex.encode()) > _MAX_REGEX:
        out.error(path, "V22b", f"{quote(where)}: regex is too large, max length allowed is 1024")
    else:
        try:
            check_regexp(regex)
        except RegexpError as problem:
            out.error(
                path,
                "V22c",
                f"{quote(where)}: {problem}; Istio uses RE2 style regex-based match "
                "(https://github.com/google/re2/wiki/Syntax)",
            )
