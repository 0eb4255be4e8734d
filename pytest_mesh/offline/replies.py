"""The oracle's answer as a test reads it: one value where only one can come, shares where several can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pytest_mesh.confirming import standing
from pytest_mesh.contracts import Request
from pytest_mesh.failures import MeshFailure, hidden
from pytest_mesh.oracle.outcomes import Outcome, Prediction

__tracebackhide__ = hidden

T = TypeVar("T")

_OF_THE_WAY = {"host", "subset", "path", "authority", "request_headers"}
"""What is known of a request to endpoints of which nothing else is: a ServiceEntry's."""


class Uncertain(MeshFailure):
    """One value was asked for and several may come; carries the whole explanation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What must come of a request."""

    request: Request
    prediction: Prediction

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Everything that may come, with probabilities that sum to 1."""
        return self.prediction.outcomes

    @property
    def weights(self) -> Mapping[str, float]:
        """Per cent by subset (by Service host where the route names none); answers of proxies by their status."""
        return {name: float(share * 100) for name, share in self.prediction.shares.items()}

    @property
    def status(self) -> int:
        """The status, where only one can come; 0 for a connection without HTTP, or one that is closed."""
        return self._one("status", lambda one: one.status)

    @property
    def subset(self) -> str:
        """The subset that answers, where only one can; empty where the route names none, or a proxy answers."""
        return self._one("subset", lambda one: "" if one.by == "proxy" else one.subset)

    @property
    def host(self) -> str:
        """The Service that answers, in full."""
        return self._one("host", lambda one: one.host)

    @property
    def workloads(self) -> tuple[str, ...]:
        """Names of the workloads any of which may answer."""
        return tuple(dict.fromkeys(work.name for one in self.outcomes for work in one.workloads))

    @property
    def by(self) -> str:
        """``workload``, ``proxy`` (the client's own) or ``outside``."""
        return self._one("by", lambda one: str(one.by))

    @property
    def flag(self) -> str:
        """Envoy's response flag (``NR``, ``NC``, ``UH``, ``FI``); empty where a workload answers."""
        return self._one("flag", lambda one: str(one.flag))

    @property
    def path(self) -> str:
        """Path and query as the workload sees them."""
        return self._one("path", lambda one: one.path)

    @property
    def authority(self) -> str:
        """Host header as the workload sees it."""
        return self._one("authority", lambda one: one.authority)

    @property
    def location(self) -> str | None:
        """Location of a redirect; None = there is none."""
        return self._one("location", lambda one: one.location)

    @property
    def body(self) -> str | None:
        """Body of a direct response; None = nothing is known of it."""
        return self._one("body", lambda one: one.body)

    @property
    def delay(self) -> float:
        """Seconds that the answer takes at least."""
        return self._one("delay", lambda one: one.delay)

    @property
    def request_headers(self) -> Mapping[str, str | None]:
        """Of the headers that the route changes: what the workload sees; None = absent."""
        return self._one("request_headers", lambda one: dict(one.request_headers))

    @property
    def response_headers(self) -> Mapping[str, str | None]:
        """The same of the answer."""
        return self._one("response_headers", lambda one: dict(one.response_headers))

    @property
    def mirrors(self) -> Mapping[str, float]:
        """Per cent of the requests that are copied, by ``host`` or ``host|subset``."""
        copies = self._one("mirrors", lambda one: one.mirrors)
        return {f"{one.host}|{one.subset}".rstrip("|"): one.per_million / 10_000 for one in copies}

    def explain(self) -> str:
        """Give request, allowed outcomes, the lines that decide, what is assumed, and the oracle's standing."""
        headers = "".join(f" -H '{name}: {value}'" for name, value in self.request.headers)
        return f"{self.request.method} {self.request.url}{headers}\n{self.prediction.explain()}\noracle: {standing()}"

    def __str__(self) -> str:
        return self.explain()

    def _one(self, name: str, value: Callable[[Outcome], T]) -> T:
        outside = [one for one in self.outcomes if one.by == "outside"]
        known = {"by", "mirrors"} | (_OF_THE_WAY if all(one.host for one in outside) else set())
        if outside and name not in known:
            raise Uncertain(f"reply.{name}: nothing is known of what answers outside the mesh\n{self.explain()}")
        found: list[T] = []
        for one in self.outcomes:
            if (got := value(one)) not in found:
                found.append(got)
        if len(found) > 1:
            told = ", ".join(repr(one) for one in found)
            raise Uncertain(f"reply.{name}: any of {told} may come; look at reply.weights\n{self.explain()}")
        return found[0]
