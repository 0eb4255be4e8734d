"""Does a request fit a RouteMatch? Envoy's own rules for paths, headers, query parameters and virtual hosts. Pure.

Regular expressions are RE2's in Envoy; Python's engine stands in, which agrees on all that Galley lets through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from mesh_reference.errors import MeshError

Json = Mapping[str, Any]

PORTS = {"http": 80, "https": 443}


class RequestError(MeshError):
    """A URL or header that no request could have; ``str()`` says what is wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as a client writes it. Headers are (name in lower case, value), one for each line."""

    scheme: str
    host: str
    """The host alone, as it is called."""
    port: int
    path: str
    """With the query."""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def authority(self) -> str:
        """The Host header, a ``host:`` among the headers before the URL's."""
        default = self.host if PORTS.get(self.scheme) == self.port else f"{self.host}:{self.port}"
        return next((value for name, value in self.headers if name in {"host", ":authority"}), default)

    def values(self, name: str) -> tuple[str, ...]:
        """Of every line of that header, pseudo-headers too."""
        pseudo = {":method": self.method, ":authority": self.authority, ":scheme": self.scheme, ":path": self.path}
        if name in pseudo:
            return (pseudo[name],)
        return tuple(value for known, value in self.headers if known == name.lower())


def parse_request(url: str, headers: Iterable[str] = (), method: str = "GET") -> Request:
    """``http://reviews:80/x`` and ``name: value`` lines as a request. Raises `RequestError`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as problem:
        raise RequestError(f"--url {url}: {problem}") from problem
    if parts.scheme not in PORTS or not parts.hostname:
        raise RequestError(f"--url {url}: want http://host[:port]/path")
    found: list[tuple[str, str]] = []
    for line in headers:
        name, colon, value = (
            line.partition(":")
            if not line.startswith(":")
            else (":" + line[1:].partition(":")[0], ":", line[1:].partition(":")[2])
        )
        if not colon or not name.strip():
            raise RequestError(f"-H {line!r}: want 'name: value'")
        found.append((name.strip().lower(), value.strip()))
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Request(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        path=path,
        method=method,
        headers=tuple(found),
    )


_ESCAPED = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def normalized(request: Request) -> Request:
    """With the path as routes see it (``normalize_path``): no dot segments, no needless escapes, no backslashes."""
    path, mark, query = request.path.partition("?")
    path = _ESCAPED.sub(_plain, path.replace("\\", "/"))
    if "/." in path:
        out: list[str] = []
        parts = path.split("/")[1:]
        for number, part in enumerate(parts):
            if part == "..":
                del out[-1:]
            elif part != ".":
                out.append(part)
            if part in {".", ".."} and number == len(parts) - 1:
                out.append("")
        path = "/" + "/".join(out)
    return replace(request, path=path + mark + query)


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0]


def virtual_host(table: Json, authority: str) -> tuple[Json, str] | None:
    """The virtual host for the Host header and the domain that took it: exact, *suffix, prefix*, then ``*``; longest first."""
    name = authority.lower()
    if table.get("ignore_port_in_host_matching"):
        name = re.sub(r":[0-9]+$", "", name)
    best: tuple[tuple[int, int], Json, str] | None = None
    for host in table.get("virtual_hosts") or ():
        for domain in host.get("domains") or ():
            rank = _rank(domain.lower(), name)
            if rank is not None and (best is None or rank > best[0]):
                best = (rank, host, domain)
    return (best[1], best[2]) if best else None


def _rank(domain: str, name: str) -> tuple[int, int] | None:
    if domain == name:
        return (3, 0)
    if domain == "*":
        return (0, 0)
    if domain.startswith("*") and name.endswith(domain[1:]) and len(name) >= len(domain):
        return (2, len(domain))
    if domain.endswith("*") and name.startswith(domain[:-1]) and len(name) >= len(domain):
        return (1, len(domain))
    return None


def conditions(match: Json) -> str:
    """All conditions of a match in words: ``prefix /a, header x-version is v2``."""
    if "path" in match:
        path = f"path {match['path']}"
    elif "safe_regex" in match:
        path = f"path regex {match['safe_regex'].get('regex', '')}"
    else:
        path = f"prefix {match.get('prefix', '')}"
    words = [path if match.get("case_sensitive") is not False else f"{path} in any case"]
    for kind, field_name in (("header", "headers"), ("query parameter", "query_parameters")):
        for matcher in match.get(field_name) or ():
            there = "present_match" in matcher or not matcher.get("string_match")
            text = "is there" if there else f"is {_words(matcher['string_match'])}"
            unless = "not: " if matcher.get("invert_match") else ""
            words.append(f"{unless}{kind} {matcher.get('name', '')} {text}")
    return ", ".join(words)


def misfit(match: Json, request: Request) -> str:
    """The first condition that the request does not meet, in words; "" when it fits."""
    path, _, query = request.path.partition("?")
    problem = _path_misfit(match, path)
    if problem:
        return problem
    for matcher in match.get("headers") or ():
        problem = header_misfit(matcher, request.values(str(matcher.get("name", ""))))
        if problem:
            return problem
    given: dict[str, str] = {}
    for part in query.split("&"):  # as it was sent: Envoy decodes no escapes here
        name, _, value = part.partition("=")
        given.setdefault(name, value)
    for matcher in match.get("query_parameters") or ():
        problem = _query_misfit(matcher, given.get(str(matcher.get("name", ""))))
        if problem:
            return problem
    return ""


def _path_misfit(match: Json, path: str) -> str:
    strict = match.get("case_sensitive") is not False
    have = path if strict else path.lower()

    def fold(text: str) -> str:
        return text if strict else text.lower()

    if "path" in match:
        return "" if have == fold(match["path"]) else f"the path is not {match['path']}"
    if "safe_regex" in match:
        pattern = str(match["safe_regex"].get("regex", ""))
        return "" if re.fullmatch(pattern, path, re.DOTALL) else f"the path does not match {pattern}"
    prefix = str(match.get("prefix", ""))
    return "" if have.startswith(fold(prefix)) else f"the path does not begin with {prefix}"


def header_misfit(matcher: Json, values: tuple[str, ...]) -> str:
    """Of several lines each is looked at by itself, and one that fits is enough."""
    name, inverted = str(matcher.get("name", "")), bool(matcher.get("invert_match"))
    if "present_match" in matcher:
        held = bool(values) == bool(matcher["present_match"])
        wanted = "is there" if held else "is missing"
    else:
        if not values and not matcher.get("treat_missing_header_as_empty"):
            # A missing header fits no matcher, not even an inverted one.
            return f"header {name} is missing"
        match = matcher.get("string_match") or {}
        held = any(fits(match, value) for value in values or ("",))
        wanted = f"is {_words(match)}" if held else f"is not {_words(match)}"
    return "" if held != inverted else f"header {name} {wanted}"


def _query_misfit(matcher: Json, value: str | None) -> str:
    name = str(matcher.get("name", ""))
    if value is None:
        return f"query parameter {name} is missing"
    if "present_match" in matcher or not matcher.get("string_match"):
        return ""
    return (
        ""
        if fits(matcher["string_match"], value)
        else f"query parameter {name} is not {_words(matcher['string_match'])}"
    )


def fits(match: Json, value: str) -> bool:
    """Envoy's StringMatcher."""
    if match.get("ignore_case"):
        value = value.lower()
    if "exact" in match:
        return value == _folded(match, match["exact"])
    if "prefix" in match:
        return value.startswith(_folded(match, match["prefix"]))
    if "suffix" in match:
        return value.endswith(_folded(match, match["suffix"]))
    if "contains" in match:
        return _folded(match, match["contains"]) in value
    return bool(re.fullmatch(str((match.get("safe_regex") or {}).get("regex", "")), value, re.DOTALL))


def _folded(match: Json, text: str) -> str:
    return text.lower() if match.get("ignore_case") else text


def _words(match: Json) -> str:
    for kind in ("exact", "prefix", "suffix", "contains"):
        if kind in match:
            return str(match[kind]) if kind == "exact" else f"{kind} {match[kind]}"
    return f"regex {(match.get('safe_regex') or {}).get('regex', '')}"
