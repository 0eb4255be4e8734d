"""What the agreement is judged on: generated VirtualServices, each on hosts of its own, and requests near them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from pytest_mesh.strategies import routes
from pytest_mesh.strategies.bindings import draw_bindings
from pytest_mesh.strategies.cells import HOST, Cell
from pytest_mesh.strategies.choices import Choose, seeded

Json = dict[str, Any]
NAMESPACE = "shop"
MARK = "x-block"
"""Response header in which each block gives its own place."""
ODD_PATHS = ("/a/../b", "/a/./b", "//a", "/%61", "/a%2Fb", "/a/..", "/a?q=%761", "/a?q=v1&q=v2", "/a?q", "/a;x", "/A%20b", "/?r=v%31", "/a+b?q=v+1", "/b/%2e%2e/a", "/..%2f", "/a?q=V1&r=a")  # fmt: skip
ODD_HEADERS = (("x-a", "v1,v2"), ("x-a", ""), ("x-b", " v1 "), ("X-A", "v1"), ("x-mixed", "v1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: through the sidecar of the client, or through the gateway."""

    kind: str
    host: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    gateway: bool = False


def cases(number: int, seed: int) -> tuple[list[Json], list[Asked]]:
    """Documents, and so many requests: cells, delegated cells, cells at a gateway, rivals, and what nobody routes."""
    choose = seeded(Random(seed))
    documents: list[Json] = []
    requests: dict[Asked, None] = {}
    index = 0
    while len(requests) < number - 8:
        index += 1
        make = choose((_cell, _cell, _cell, _cell, _delegated, _at_gateway, _bound, _rare))
        made, asked = make(choose, index)
        documents += made
        requests.update(dict.fromkeys(asked))
    found = list(requests)[: number - 8]
    return _aged(documents), [*found, *_elsewhere()]


def _cell(choose: Choose, index: int) -> tuple[list[Json], list[Asked]]:
    cell, host = routes.cell(choose), f"cell-{index}.test"
    document = _marked(cell.virtual_service(f"cell-{index}", host))
    return [document], [*_asked("cell", cell, host), *_odd(choose, host)]


def _odd(choose: Choose, host: str) -> Iterator[Asked]:
    """What clients send now and then: paths that are normalised, escapes, repeated headers and parameters."""
    for _ in range(2):
        path = choose(ODD_PATHS)
        headers = (choose(ODD_HEADERS),) if choose((False, True)) else ()
        yield Asked(kind="odd", host=host, path=path, method=choose(("GET", "POST")), headers=headers)


def _delegated(choose: Choose, index: int) -> tuple[list[Json], list[Asked]]:
    """A root that leaves some of its routes to one or two delegates."""
    host, http, leaves = f"root-{index}.test", [], []
    asked: list[Asked] = []
    for number in range(choose((1, 2))):
        cell = routes.cell(choose)
        narrow = choose(({}, {"uri": {"prefix": "/a"}}, {"headers": {"x-a": {"prefix": "v"}}}, {"port": 80}))
        name = f"leaf-{index}-{number}"
        leaves.append(_marked(_without_hosts(cell.virtual_service(name, host))))
        root = {"delegate": {"name": name}, "name": f"r{number}"}
        http.append({**root, "match": [narrow]} if narrow else root)
        asked += _asked("delegate", cell, host)
        if "headers" in narrow:
            asked += [Asked(kind="delegate", host=one.host, path=one.path, method=one.method, headers=(*one.headers, ("x-a", "v1"))) for one in asked]  # fmt: skip
    if choose((False, True)):
        http.insert(choose((0, len(http))), routes.route(choose))
    text = json.dumps(http).replace(HOST, host)
    document = _virtual_service(f"root-{index}", {"hosts": [host], "http": json.loads(text)})
    return [_marked(document), *leaves], asked


def _at_gateway(choose: Choose, index: int) -> tuple[list[Json], list[Asked]]:
    """One or two VirtualServices for one host of a gateway: their routes are put together."""
    host, documents, asked = f"gate-{index}.test", [], []
    for number in range(choose((1, 2))):
        cell = routes.cell(choose)
        document = _marked(cell.virtual_service(f"gate-{index}-{number}", host))
        document["spec"]["gateways"] = choose((["edge"], ["edge"], [f"{NAMESPACE}/edge", "mesh"]))
        documents.append(document)
        asked += _asked("gateway", cell, host, gateway=True)
    return documents, asked


def _bound(choose: Choose, index: int) -> tuple[list[Json], list[Asked]]:
    """Rivals for one Service, which is called by each of its names."""
    (found,) = draw_bindings(1, choose(range(1_000_000)), NAMESPACE)
    text = json.dumps([found.document(), *found.rivals]).replace(found.service, f"bound-{index}x")
    service, *rivals = json.loads(text)
    service["spec"]["clusterIP"] = f"10.96.{1 + index // 200}.{1 + index % 200}"
    asked = [
        Asked(kind="binding", host=dict(one.headers)["host"].replace(found.service, f"bound-{index}x").replace(found.service.title(), f"bound-{index}x".title()))
        for one in found.requests
    ]  # fmt: skip
    return [service, *(_marked(rival) for rival in rivals)], asked


_RARE: tuple[Json, ...] = (
    {"corsPolicy": {"allowOrigins": [{"exact": "http://a.test"}, {"prefix": "http://b"}], "allowMethods": ["PUT"]}},
    {"corsPolicy": {"allowOrigins": [{"regex": "http://[ab].test"}], "unmatchedPreflights": "IGNORE"}},
    {"fault": {"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 100}}}},
    {"fault": {"abort": {"grpcStatus": "NOT_FOUND", "percentage": {"value": 100}}}},
    {"fault": {"abort": {"httpStatus": 599, "percentage": {"value": 50}}}},
    {"headers": {"request": {"set": {"x-per": "100%%"}, "add": {"x-a": "more"}, "remove": ["x-b"]}}},
    {"mirrors": [{"destination": {"host": "other"}, "percentage": {"value": 0}}, {"destination": {"host": "other"}}]},
    {"rewrite": {"uriRegexRewrite": {"match": "[a-z]*", "rewrite": "<\\0>"}}},
    {"rewrite": {"uriRegexRewrite": {"match": "/([^/]+)/?(.*)", "rewrite": "/\\2/\\1"}, "authority": "re.test"}},
    {"timeout": "5s", "retries": {"attempts": 0}},
)
"""Fields that cells leave out."""


def _rare(choose: Choose, index: int) -> tuple[list[Json], list[Asked]]:
    host = f"rare-{index}.test"
    route = {"route": [{"destination": {"host": "target", "subset": choose(("v1", "v2"))}}], **choose(_RARE)}
    match = choose((None, {"uri": {"prefix": "/a"}}, {"uri": {"exact": "/A/b"}, "ignoreUriCase": True}))
    http = [{"match": [match], **route}, {"directResponse": {"status": 218}}] if match else [route]
    document = _marked(_virtual_service(f"rare-{index}", {"hosts": [host], "http": http}))
    preflight = ("access-control-request-method", "PUT")
    asked = [
        Asked(
            kind="rare", host=host, path=choose(("/", "/a", "/a/b", "/a/b/cd?q=1", "/x")),
            method=choose(("GET", "OPTIONS", "OPTIONS")),
            headers=choose(((("origin", "http://a.test"), preflight), (("origin", "http://c.test"), preflight), (("x-a", "1"), ("x-b", "2")))),
        )
        for _ in range(6)
    ]  # fmt: skip
    return [document], asked


def _elsewhere() -> list[Asked]:
    """Services without a VirtualService, and hosts that nobody knows."""
    names = ("target", "target.shop", "other.shop.svc.cluster.local", "OTHER", "other:80", "side", "nobody.test", "nobody.test:81")  # fmt: skip
    return [Asked(kind="plain", host=name, path=f"/{number}") for number, name in enumerate(names)]


def _asked(kind: str, cell: Cell, host: str, *, gateway: bool = False) -> list[Asked]:
    return [
        Asked(
            kind=kind, host=one.authority.replace(HOST, host), path=one.path, method=one.method, headers=one.headers,
            gateway=gateway,
        )
        for one in cell.requests
    ]  # fmt: skip


def _virtual_service(name: str, spec: Json) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name},
        "spec": spec,
    }


def _without_hosts(document: Json) -> Json:
    spec = {key: value for key, value in document["spec"].items() if key != "hosts"}
    return {**document, "spec": spec}


def _marked(document: Json) -> Json:
    """Each block tells which it is, unless it hands on to a delegate."""
    out = copy.deepcopy(document)
    name = out["metadata"]["name"]
    for number, route in enumerate(out["spec"]["http"]):
        if "delegate" not in route:
            changes = route.setdefault("headers", {}).setdefault("response", {}).setdefault("set", {})
            changes[MARK] = f"{name}/{number}"
    out["metadata"]["namespace"] = NAMESPACE
    return out


def _aged(documents: list[Json]) -> list[Json]:
    """Created one after the other."""
    for number, document in enumerate(documents):
        document["metadata"].setdefault("namespace", NAMESPACE)
        stamp = f"2026-01-02T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
        document["metadata"]["creationTimestamp"] = stamp
    return documents
