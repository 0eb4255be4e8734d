"""What stands around a route: delegates, ServiceEntries, headless Services, in groups like the rivals of ``bindings``.

Rows R19, S1, S2, S10, B12 and the headless names of §1.0. It generates; expectations are the oracle's.
"""

from __future__ import annotations

from random import Random

from pytest_mesh.contracts import Json, Request
from pytest_mesh.strategies.bindings import DOMAIN, Binding
from pytest_mesh.strategies.cast import OTHER, SIDE, TARGET
from pytest_mesh.strategies.choices import Choose, seeded, several

_KINDS = ("delegate", "delegate", "delegate", "entry", "headless")
_PATHS = ("/", "/a", "/a/", "/ab", "/a/b", "/A", "/b")
_URIS: tuple[Json, ...] = (
    {"prefix": "/"}, {"prefix": "/a"}, {"prefix": "/a/"}, {"exact": "/a"}, {"exact": "/a/b"}, {"regex": "/a.*"},
)  # fmt: skip
_HEADERS: tuple[Json, ...] = ({"exact": "v1"}, {"prefix": "v"}, {"regex": "v."}, {"exact": "v2"})
_STATIC: tuple[Json, ...] = (
    {"port": 80}, {"port": 81}, {"sourceLabels": {"app": "client"}}, {"sourceLabels": {"app": "other"}},
    {"sourceNamespace": "elsewhere"}, {"ignoreUriCase": True}, {"gateways": ["mesh"]},
)  # fmt: skip


def draw_surroundings(number: int, seed: int, namespace: str) -> list[Binding]:
    """Give so many groups for a namespace, the same for the same seed."""
    choose = seeded(Random(f"around-{seed}"))  # noqa: S311 - reproducible, not secret
    return [surrounding(choose, f"around-{index}", namespace) for index in range(number)]


def surrounding(choose: Choose, name: str, namespace: str) -> Binding:
    """Give one group: documents that belong together, and requests that tell whether they do what they should."""
    kind = choose(_KINDS)
    if kind == "delegate":
        return _delegates(choose, name, namespace)
    return _entry(choose, name, namespace) if kind == "entry" else _headless(choose, name, namespace)


# ------------------------------------------------------------ delegates


def _delegates(choose: Choose, name: str, namespace: str) -> Binding:
    """R19: a root with one or two delegates, one of them perhaps absent, and routes that may go beyond their root's."""
    routes: list[Json] = []
    documents: list[Json] = []
    for index in range(choose((1, 1, 2))):
        own = f"{name}-d{index}"
        where: Json = {"name": own, **choose(({}, {"namespace": namespace}))}
        routes.append({**_matches(choose), **_inherited(choose, f"root{index}"), "delegate": where})
        if choose((True, True, True, True, False)):
            http = [{**_matches(choose), **_answer(choose, own, part)} for part in range(choose((1, 2, 2)))]
            export = choose(({}, {}, {}, {"exportTo": ["."]}, {"exportTo": ["elsewhere"]}))
            documents.append(_virtual_service(own, namespace, {"http": http, **export}))
    routes.append({**choose(({}, {}, {"name": "last"})), **_answer(choose, name, 9)})
    root = _virtual_service(name, namespace, {"hosts": [name], "http": routes})
    return Binding(service=name, rivals=(*documents, root), requests=tuple(_asked(choose, name)))


def _matches(choose: Choose) -> Json:
    blocks = [_block(choose) for _ in range(choose((0, 1, 1, 2)))]
    return {"match": blocks} if blocks else {}


def _block(choose: Choose) -> Json:
    found: Json = {}
    if choose((True, True, False)):
        found["uri"] = dict(choose(_URIS))
    if choose((False, True)):
        found["headers"] = {choose(("x-a", "x-b")): dict(choose(_HEADERS))}
    if choose((False, False, True)):
        found["withoutHeaders"] = {"x-c": dict(choose(_HEADERS))}
    if choose((False, False, False, True)):
        found["queryParams"] = {"q": dict(choose((_HEADERS[0], _HEADERS[3])))}
    if choose((False, False, False, True)):
        found.update(choose(_STATIC))
    if choose((False, False, True)):
        found["name"] = choose(("one", "two"))
    return found or {"uri": {"prefix": "/"}}


def _inherited(choose: Choose, mark: str) -> Json:
    """Give what a root's route may say for its delegate's."""
    return choose(
        (
            {},
            {},
            {"headers": {"response": {"set": {"x-root": mark}}}},
            {"rewrite": {"uri": "/new"}},
            {"fault": {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}},
            {"mirror": {"host": OTHER}},
            {"name": mark},
            {"timeout": "5s"},
            {"corsPolicy": {"allowOrigins": [{"exact": "https://app.test"}], "allowMethods": ["GET"]}},
        )
    )


def _answer(choose: Choose, name: str, part: int) -> Json:
    """Give a route whose answers say which one made them."""
    said = f"{name}-{part}"
    return choose(
        (
            {"directResponse": {"status": 200, "body": {"string": said}}},
            {
                "route": [
                    {
                        "destination": {"host": choose((TARGET, OTHER))},
                        "headers": {"response": {"set": {"x-answer": said}}},
                    }
                ]
            },
            {
                "route": [{"destination": {"host": OTHER}}],
                "headers": {"response": {"set": {"x-answer": said}}},
                "rewrite": {"uri": f"/{part}"},
            },
        )
    )


def _asked(choose: Choose, name: str) -> list[Request]:
    found = []
    for _ in range(8):
        some = [header for header in ("x-a", "x-b", "x-c") if choose((False, False, True))]
        headers = [("host", name), *((header, choose(("v1", "v2", "v10", ""))) for header in some)]
        if choose((False, False, False, True)):
            headers.append(("origin", choose(("https://app.test", "https://else.test"))))
        query = choose(("", "", "?q=v1", "?q=v2"))
        found.append(Request(url=f"http://{name}{choose(_PATHS)}{query}", headers=tuple(headers)))
    return found


# ------------------------------------------------------------ services of other kinds


def _entry(choose: Choose, name: str, namespace: str) -> Binding:
    """S1, S2: a host of a ServiceEntry with the cast's pods behind it, or with the address that the client dials."""
    host = choose((f"{name}.{namespace}.test", f"*.{name}.{namespace}.test"))
    spec: Json = {
        "hosts": [host],
        "location": choose(("MESH_INTERNAL", "MESH_EXTERNAL")),
        "ports": [{"number": choose((80, 80, 80, 81)), "name": "http", "protocol": "HTTP", "targetPort": 8080}],
    }
    if choose((True, False)):
        spec |= {"resolution": "STATIC", "workloadSelector": {"labels": {"app": choose((OTHER, "nobody"))}}}
        spec["location"] = "MESH_INTERNAL"
    else:
        spec |= {"resolution": "NONE"}
        del spec["ports"][0]["targetPort"]
    spec |= choose(({}, {}, {"exportTo": ["."]}, {"exportTo": ["elsewhere"]}))
    documents = [_document("ServiceEntry", name, namespace, spec)]
    if choose((False, True)):
        route: Json = {"route": [{"destination": {"host": host}}], "headers": {"response": {"set": {"x-answer": name}}}}
        if host.startswith("*"):
            route["route"] = [{"destination": {"host": OTHER}}]
        documents.append(_virtual_service(name, namespace, {"hosts": [host], "http": [route]}))
    names = (host.replace("*", "one"), host.replace("*.", ""), f"other.{namespace}.test", host.replace("*", "two.one"))
    requests = [Request(url=f"http://{TARGET}/", headers=(("host", one),)) for one in dict.fromkeys(names)]
    return Binding(service=name, rivals=tuple(documents), requests=tuple(requests))


def _headless(choose: Choose, name: str, namespace: str) -> Binding:
    """§1.0: a Service without an address: requests for it go where the client dials, whatever subset a route names."""
    full = f"{name}.{namespace}.svc.{DOMAIN}"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-h", "namespace": namespace},
        "spec": {
            "clusterIP": "None",
            # The pods that the requests dial: of others the proxy would refuse the certificates.
            "selector": {"app": TARGET},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }
    documents = [service]
    if choose((False, True)):
        answer: Json = {
            "route": [{"destination": {"host": choose((f"{name}-h", OTHER))}}],
            "headers": {"response": {"set": {"x-answer": name}}},
        }
        documents.append(_virtual_service(name, namespace, {"hosts": [f"{name}-h"], "http": [answer]}))
    headless = full.replace(name, f"{name}-h", 1)
    names = (headless, f"pod-0.{headless}", f"{name}-h", f"{name}-h.{namespace}", f"x.{name}-h.{namespace}")
    requests = [Request(url=f"http://{TARGET}/", headers=(("host", one),)) for one in names]
    return Binding(service=name, rivals=tuple(documents), requests=tuple(requests))


def _virtual_service(name: str, namespace: str, spec: Json) -> Json:
    return _document("VirtualService", name, namespace, spec)


def _document(kind: str, name: str, namespace: str, spec: Json) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def sidecars(choose: Choose, namespace: str, always: str) -> Json:
    """Give a Sidecar (S6, S8) for the client of a stage; ``always`` is a host that it lets in."""
    domain = f"{namespace}.svc.{DOMAIN}"
    hosts = [choose((f"./{TARGET}.{domain}", f"*/{OTHER}.{domain}", f"{namespace}/{TARGET}.{domain}"))]
    hosts += several(
        choose, (f"./{SIDE}.{domain}", "elsewhere/*", f"*/*.{domain}", f"./{OTHER}.{domain}"), least=0, most=2
    )
    spec: Json = {"egress": [{"hosts": [f"./{always}", *hosts]}]}
    if choose((True, True, False)):
        spec["outboundTrafficPolicy"] = {"mode": choose(("REGISTRY_ONLY", "ALLOW_ANY"))}
    if choose((True, False)):
        spec["workloadSelector"] = {"labels": {"app": choose(("client", "client", "other"))}}
    return _document("Sidecar", "around", namespace, spec)
