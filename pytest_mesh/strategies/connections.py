"""VirtualServices with tcp and tls routes over one Service of the cast, and the connections that tell what they do.

Rows T1-T6. Weights are far apart or equal, so that a few dozen connections show every way. Expectations are the oracle's.
"""

from __future__ import annotations

from random import Random

from pytest_mesh.contracts import Json, Request
from pytest_mesh.strategies.cast import OTHER, TARGET, TCP_PORT, TLS_PORT
from pytest_mesh.strategies.choices import Choose, seeded

NAMES = ("one.wire.test", "two.wire.test", "deep.two.wire.test")
_PATTERNS = (*NAMES, "*.wire.test", "*.two.wire.test")
_STATIC: tuple[Json, ...] = (
    {}, {}, {"sourceLabels": {"app": "client"}}, {"sourceLabels": {"app": "other"}}, {"sourceNamespace": "elsewhere"},
    {"gateways": ["mesh"]}, {"gateways": ["edge"]},
)  # fmt: skip


def draw_connections(number: int, seed: int) -> list[Json]:
    """Give so many VirtualServices, the same for the same seed."""
    choose = seeded(Random(f"wire-{seed}"))  # noqa: S311 - reproducible, not secret
    return [connections(choose) for _ in range(number)]


def connections(choose: Choose) -> Json:
    """Give one VirtualService of the cast's target."""
    spec: Json = {
        "hosts": [TARGET, "*.wire.test"],
        "tcp": [_tcp(choose) for _ in range(choose((1, 2, 2, 3)))],
        # The last takes every name: what becomes of one that no route has is nobody's promise.
        "tls": [
            *(_tls(choose, choose(_PATTERNS)) for _ in range(choose((1, 2, 2, 3)))),
            {"match": [{"sniHosts": ["*.wire.test"]}], "route": _branches(choose, TLS_PORT)},
        ],
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "wire"},
        "spec": spec,
    }


def requests() -> list[Request]:
    """Give the connections: one of TCP, and one of TLS for each server name."""
    return [
        Request(url=f"tcp://{TARGET}:{TCP_PORT}"),
        *(Request(url=f"tls://{TARGET}:{TLS_PORT}", headers=(("sni", name),)) for name in NAMES),
    ]


def _tcp(choose: Choose) -> Json:
    match = {**choose(_STATIC), **choose(({}, {}, {"port": TCP_PORT}, {"port": 80}))}
    return {**({"match": [match]} if match else {}), "route": _branches(choose, TCP_PORT)}


def _tls(choose: Choose, name: str) -> Json:
    match = {"sniHosts": [name], **choose(_STATIC), **choose(({}, {}, {"port": TLS_PORT}, {"port": 80}))}
    return {"match": [match], "route": _branches(choose, TLS_PORT)}


def _branches(choose: Choose, port: int) -> list[Json]:
    def to(subset: str, weight: int) -> Json:
        return {"destination": {"host": TARGET, "subset": subset, "port": {"number": port}}, "weight": weight}

    return choose(
        (
            [to("v1", 100)],
            [to("v2", 100)],
            [to("v1", 50), to("v2", 50)],
            [to("v1", 0), to("v2", 7)],
            [{"destination": {"host": OTHER, "port": {"number": port}}}],
        )
    )
