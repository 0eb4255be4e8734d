"""One form for what came of a request in either mesh, without what differs between any two runs. Pure.

An *aspect* is one thing that can be compared: ``status``, ``workload``, ``request header x-a``, ``flag`` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_mesh.contracts import Observation
from pytest_mesh.differential.access_logs import Entry

Aspects = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

_VOLATILE = frozenset(
    {"date", "x-request-id", "x-envoy-upstream-service-time", "content-length", "traceparent", "user-agent"}
)
"""Headers whose values differ between two runs of one mesh."""
_HASH = re.compile(r"Hash=[0-9a-f]+")
_POD = re.compile(r"-[a-z0-9]{6,10}-[a-z0-9]{5}$")
NAMESPACE = "{namespace}"
"""Stands for the name of the namespace in which a mesh was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request."""

    aspects: Aspects

    def __str__(self) -> str:
        return "; ".join(f"{name}: {value}" for name, value in self.aspects)


def answer_of(
    observation: Observation, *, namespace: str, client: Sequence[Entry] = (), arrivals: Iterable[str] = ()
) -> Answer:
    """Give an answer's form.

    Args:
        observation: what the client saw.
        namespace: where the mesh was asked; its name is taken out of every value.
        client: what the client's proxy logged of it.
        arrivals: workloads that it arrived at, mirrored copies included.
    """
    found: dict[str, str] = {}
    if not observation.status:
        found["failure"] = observation.failure
    else:
        found["status"] = str(observation.status)
        found |= _headers("response header", observation.headers)
    echo = observation.echo
    if echo is None:
        found["workload"] = "none, a proxy answers" if observation.status else "none"
        if observation.status:
            found["body"] = observation.body
    else:
        found |= {"workload": workload(echo.pod), "method": echo.method, "path": echo.path, "host": echo.host}
        found |= _headers("request header", echo.headers)
    if client:
        found["flag"] = ",".join(one.flags for one in client)
        found["details"] = ",".join(one.details for one in client)
        found["cluster"] = ",".join(one.cluster for one in client)
        found["route"] = ",".join(one.route for one in client)
    reached = sorted(arrivals)
    if reached:
        found["arrivals"] = ",".join(reached)
    own = re.compile(re.escape(namespace), re.IGNORECASE)
    return Answer(aspects=tuple(sorted((name, own.sub(NAMESPACE, value)) for name, value in found.items())))


def refused(reason: str) -> Answer:
    """Give the form of a configuration that the mesh does not take."""
    return Answer(aspects=(("validation", f"refused: {reason}"),))


def workload(pod: str) -> str:
    """Give the Deployment of a pod."""
    return _POD.sub("", pod)


def differing(one: Answer, other: Answer) -> dict[str, tuple[str, str]]:
    """Give the aspects in which two answers differ, with both values; ``absent`` where one has none."""
    if any(name == "validation" for answer in (one, other) for name, _ in answer.aspects):
        taken = [next((value for name, value in answer.aspects if name == "validation"), "") for answer in (one, other)]
        if all(taken):
            return {}
        return {"validation": (taken[0] or "taken", taken[1] or "taken")}
    left, right = dict(one.aspects), dict(other.aspects)
    return {
        name: (left.get(name, "absent"), right.get(name, "absent"))
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    }


def nearest(answer: Answer, others: Iterable[Answer]) -> Answer:
    """Give the answer that differs in the fewest aspects."""
    return min(others, key=lambda one: (len(differing(answer, one)), str(one)))


def _headers(what: str, pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        lowered = name.lower()
        found.setdefault(lowered, []).append("any" if lowered in _VOLATILE else _HASH.sub("Hash=any", value))
    return {f"{what} {name}": ",".join(values) for name, values in found.items()}
