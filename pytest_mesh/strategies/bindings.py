"""Which VirtualService takes a host: groups of rival VirtualServices on a Service, and every name it may be called by.

Rows B1-B7, B12 and F5. It generates; expectations are the oracle's.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pytest_mesh.contracts import Json, Request
from pytest_mesh.strategies.cast import OTHER, TARGET
from pytest_mesh.strategies.choices import Choose, seeded

DOMAIN = "cluster.local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A Service of its own and the VirtualServices that name it, in the order in which they are to be made."""

    service: str
    rivals: tuple[Json, ...]
    requests: tuple[Request, ...]

    def document(self) -> Json:
        """Give the Service; the pods of ``target`` are behind it."""
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": self.service},
            "spec": {"selector": {"app": TARGET}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }


def draw_bindings(number: int, seed: int, namespace: str) -> list[Binding]:
    """Give so many groups for a namespace, the same for the same seed."""
    choose = seeded(Random(seed))  # noqa: S311 - reproducible, not secret
    return [binding(choose, f"bound-{index}", namespace) for index in range(number)]


def binding(choose: Choose, service: str, namespace: str) -> Binding:
    """Give one group of one to three rivals."""
    letters = ["a", "b", "c"]
    rivals = []
    for answer in (f"{service}-{index}" for index in range(choose((1, 2, 2, 3)))):
        letter = choose(letters)
        letters.remove(letter)
        rivals.append(_rival(choose, f"{service}-{letter}", answer, service, namespace))
    return Binding(service=service, rivals=tuple(rivals), requests=tuple(_requests(service, namespace)))


def _rival(choose: Choose, name: str, answer: str, service: str, namespace: str) -> Json:
    full = f"{service}.{namespace}.svc.{DOMAIN}"
    host = choose((service, service, full, full.upper().replace(".SVC.", ".Svc."), f"{service}.{namespace}"))
    spec: Json = {"hosts": [host], "http": [_route(choose, answer)]}
    export = choose((None, None, ["*"], ["."], ["elsewhere"], [namespace]))
    if export is not None:
        spec["exportTo"] = export
    gateways = choose((None, None, None, ["mesh"], ["edge"], ["edge", "mesh"]))
    if gateways is not None:
        spec["gateways"] = gateways
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _route(choose: Choose, answer: str) -> Json:
    """Give a route whose answers say which VirtualService made them."""
    route: Json = {
        "route": [{"destination": {"host": choose((TARGET, OTHER))}}],
        "headers": {"response": {"set": {"x-answer": answer}}},
    }
    match = choose((None, None, None, {"sourceLabels": {"app": "other"}}, {"uri": {"exact": "/else"}}))
    return {"match": [match], **route} if match else route


def _requests(service: str, namespace: str) -> list[Request]:
    full = f"{service}.{namespace}.svc.{DOMAIN}"
    names = (
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        full,
        f"{full}.",
        full.title(),
        f"{full}:80",
    )
    return [Request(url=f"http://{service}/", headers=(("host", name),)) for name in names]
