"""Rewritten paths and the Location of redirects (R1, R2, R4)."""

from __future__ import annotations

import re

from pytest_mesh.oracle.model import Condition, Redirect, Rewrite
from pytest_mesh.oracle.requests import Seen


def rewritten(rewrite: Rewrite | None, uri: Condition | None, request: Seen) -> str:
    """Give the path, with its query, that the workload sees. ``uri`` is the condition that matched, if any."""
    path = request.path
    if rewrite is not None:
        if rewrite.regex is not None:
            path = substituted(*rewrite.regex, path)
        elif rewrite.uri:
            path = replaced(rewrite.uri, uri, path)
    return path + request.query


def replaced(replacement: str, uri: Condition | None, path: str) -> str:
    """Replace what the condition matched: the prefix as it stands, or the whole path. No condition is prefix ``/``."""
    if uri is None:
        return replacement + path[1:]
    if uri.match.kind == "prefix":
        return replacement + path[len(uri.match.value) :]
    return replacement


def substituted(pattern: str, replacement: str, text: str) -> str:
    r"""Replace every match as RE2 does: leftmost first, no empty match right after another; ``\1`` is a group."""
    out, done, compiled = "", 0, re.compile(pattern, re.ASCII)
    at, last_end = 0, -1
    while at <= len(text):
        found = compiled.search(text, at)
        if found is None:
            break
        begin, end = found.span()
        if begin == end == last_end:
            at = end + 1
            continue
        out += text[done:begin] + _filled(replacement, found)
        done, at, last_end = end, end if end > begin else end + 1, end
    return out + text[done:]


def location(redirect: Redirect, uri: Condition | None, request: Seen) -> str:
    """Give the Location header of a redirect."""
    scheme = redirect.scheme or "http"
    port = request.port if redirect.from_request_port else redirect.port
    if (port, scheme) in {(80, "http"), (443, "https")}:
        port = 0
    host = redirect.authority or _own_host(request, scheme, port)
    if redirect.prefix_rewrite:
        path = replaced(redirect.prefix_rewrite, uri, request.path) + request.query
    elif redirect.uri:
        path = redirect.uri if "?" in redirect.uri else redirect.uri + request.query
    else:
        path = request.path + request.query
    return f"{scheme}://{host}{f':{port}' if port else ''}{path}"


def _own_host(request: Seen, scheme: str, port: int) -> str:
    host, colon, own = request.authority.rpartition(":")
    if not colon or not own.isdecimal():
        return request.authority
    return host if port or (scheme != "http" and own == "80") else request.authority


def _filled(replacement: str, found: re.Match[str]) -> str:
    return re.sub(r"\\(\d)", lambda group: found.group(int(group.group(1))) or "", replacement)
