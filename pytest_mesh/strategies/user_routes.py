"""Strategies over a user's own documents and names: requests near their routes, VirtualServices over their hosts.

    from pytest_mesh.strategies import requests_near, virtual_services

Public: names and parameters follow SemVer. Expectations are the oracle's (``offline``), and nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from pytest_mesh.contracts import Json, Request
from pytest_mesh.offline.reading import gathered
from pytest_mesh.oracle.errors import OracleError
from pytest_mesh.oracle.requests import seen
from pytest_mesh.strategies.cells import HOST
from pytest_mesh.strategies.choices import by_hypothesis
from pytest_mesh.strategies.near_misses import near
from pytest_mesh.strategies.routes import route

_LABEL = "any"
"""What stands for the ``*`` of a wildcard host."""


class HeaderPairs(tuple[tuple[str, str], ...]):
    """Headers of a request: pairs, which can also be looked up by name, whatever its case."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        if isinstance(name, str):
            return any(key.lower() == name.lower() for key, _ in self)
        return super().__contains__(name)

    def get(self, name: str, default: str | None = None) -> str | None:
        """Give a header's first value."""
        return next((value for key, value in self if key.lower() == name.lower()), default)


def requests_near(documents: Any, *, namespace: str = "", bases: Sequence[Path] = ()) -> st.SearchStrategy[Request]:
    """Requests that fulfil some match block of the documents' VirtualServices, or miss it by one or two small faults.

    ``contracts.Request``: for ``offline(...).send(request)``, and for ``client.batch([request])`` on a mesh. Of
    ``request.headers`` ``"x-version" in request.headers`` and ``.get("x-version")`` work.

    Args:
        documents: as for ``offline``.
        namespace: of documents that name none; default: their short hosts stay as they are.
        bases: folders of relative paths; default: the current one.

    Raises:
        ValueError: where no VirtualService has http routes.

    """
    found = [
        (host, tuple(one["spec"]["http"]))
        for one, _ in gathered(documents, tuple(bases) or (Path.cwd(),))
        if one["kind"] == "VirtualService"
        and one["spec"].get("http")
        and "mesh" in one["spec"].get("gateways", ["mesh"])
        for host in _called(one["spec"].get("hosts") or (), namespace or one["metadata"].get("namespace", ""))
    ]
    if not found:
        raise ValueError("requests_near: no VirtualService of the mesh has http routes and a host")
    return _requests(tuple(found))


@st.composite
def virtual_services(
    draw: st.DrawFn,
    *,
    hosts: Sequence[str] = ("reviews",),
    destinations: Sequence[Json] = ({"host": "reviews"},),
    name: str = "generated",
    namespace: str = "",
) -> Json:
    """Valid VirtualServices with one to four http routes: what a mesh, and a validator, must take.

    Args:
        draw: hypothesis gives it.
        hosts: ``spec.hosts``.
        destinations: where routes may send to (``{"host": "reviews", "subset": "v1"}``).
        name: ``metadata.name``.
        namespace: ``metadata.namespace``; empty = none.

    """
    choose = by_hypothesis(draw)
    http = [route(choose, tuple(destinations)) for _ in range(choose((1, 2, 2, 3, 4)))]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {})},
        "spec": {"hosts": list(hosts), "http": _for_host(http, hosts[0])},
    }


@st.composite
def _requests(draw: st.DrawFn, found: Sequence[tuple[str, Sequence[Json]]]) -> Request:
    choose = by_hypothesis(draw)
    host, http = choose(found)
    try:
        sent = near(choose, http, any_authority=True)
    except ValueError:
        reject()  # a regular expression of which no example is made
    port = next((f":{block['port']}" for one in http for block in one.get("match") or () if block.get("port")), "")
    port = choose(("", port)) if port else ""
    authority = sent.authority.replace(HOST, host)
    own = () if authority == host else (("host", authority),)
    request = Request(
        url=f"http://{host}{port}{sent.path}", method=sent.method, headers=HeaderPairs((*own, *sent.headers))
    )
    try:
        seen(request)
    except OracleError:
        reject()  # a path that proxies normalise
    return request


def _called(hosts: Iterable[str], namespace: str) -> list[str]:
    """Give names under which a client asks for hosts; a short one of a namespace in its longer form too."""
    found = []
    for host in hosts:
        found.append(host.replace("*", _LABEL) if host != "*" else "any.test")
        if namespace and "." not in host and host != "*":
            found.append(f"{host}.{namespace}")
    return found


def _for_host(http: Any, host: str) -> Any:
    """Put a host's name where generated routes speak of their own."""
    if isinstance(http, dict):
        return {key: _for_host(value, host) for key, value in http.items()}
    if isinstance(http, list):
        return [_for_host(item, host) for item in http]
    return http.replace(HOST, host) if isinstance(http, str) else http
