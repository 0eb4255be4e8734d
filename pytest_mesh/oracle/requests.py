"""A request as the client's proxy sees it: host, port, path, query and headers, taken from ``contracts.Request``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_mesh.contracts import Request
from pytest_mesh.oracle.errors import Unsupported

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request. Header names are in lower case; ``host`` is not among them."""

    method: str
    address: str
    """Host of the URL: where the connection goes."""
    port: int
    authority: str
    """Host header, as sent."""
    path: str
    """Without the query."""
    query: str
    """With its ``?``; empty when there is none."""
    headers: Pairs

    @property
    def host(self) -> str:
        """The authority's host, in lower case, without its port (ignored in matching, §1.0)."""
        host = self.authority.lower()
        name, colon, port = host.rpartition(":")
        return name if colon and port.isdecimal() else host

    def header(self, name: str) -> str | None:
        """Give a header's values, joined by a comma; None when it is absent."""
        return joined(self.headers, name)

    def parameter(self, name: str) -> str | None:
        """Give the first value of a query parameter; None when it is absent."""
        for part in self.query[1:].split("&") if self.query else ():
            key, _, value = part.partition("=")
            if key == name:
                return value
        return None


def joined(headers: Sequence[tuple[str, str]], name: str) -> str | None:
    """Give the values of a header, joined by a comma; None when it is absent."""
    values = [value for key, value in headers if key.lower() == name.lower()]
    return ",".join(values) if values else None


def seen(request: Request) -> Seen:
    """Read a request; raises ``Unsupported`` for one that proxies normalise before they route it."""
    url = urlsplit(request.url)
    if url.scheme != "http" or not url.hostname:
        raise Unsupported(f"{request.url}: the oracle models plain http:// requests only")
    if request.method not in _METHODS:
        raise Unsupported(f"{request.method} {request.url}: proxies refuse a method that they do not know")
    path = url.path or "/"
    segments = path.split("/")
    if "%" in path + url.query or "\\" in path or "." in segments or ".." in segments or "#" in request.url:
        raise Unsupported(f"{request.url}: the oracle does not model the normalisation of paths")
    authority = next((value for name, value in request.headers if name.lower() == "host"), url.netloc)
    return Seen(
        method=request.method,
        address=url.hostname,
        port=url.port or 80,
        authority=authority,
        path=path,
        query=f"?{url.query}" if url.query else "",
        headers=tuple((name.lower(), value.strip()) for name, value in request.headers if name.lower() != "host"),
    )
