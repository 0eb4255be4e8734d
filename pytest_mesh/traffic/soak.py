"""Traffic by the clock while something happens to the mesh: what a test asks for, and what it reads afterwards.

The workload sends and counts (``workloads.soaks``); nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from pytest_mesh.contracts import Json
from pytest_mesh.progress import SILENT, Monitor, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One kind of traffic to one URL.

    ``new`` makes a connection for each request, ``kept`` sends all of them on one
    HTTP/1.1 connection (which a Service's TCP port carries as bytes), ``http2`` on
    one HTTP/2 connection.
    """

    name: str
    url: str
    kind: Literal["new", "kept", "http2"] = "new"
    per_second: float = 10.0
    timeout: float = 10.0
    """Seconds for a connection, and for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneResult:
    """What became of a lane's requests."""

    name: str
    kind: str
    answered: int
    connections: int
    """That the workload opened."""
    resets: int
    """Connections that were taken away from a lane that keeps one."""
    skipped: int
    """Requests that were due and not sent, for 64 were under way: the machine does not keep up."""
    slowest: float
    """Longest answer, in seconds."""
    failures: Mapping[str, int]
    """Lost requests by what came instead of an answer."""
    first_failures: tuple[tuple[float, str], ...]
    """Seconds since the beginning, and what was said."""
    peers: tuple[tuple[str, float], ...]
    """SHA-256 of each client certificate that the answering side saw, and when first."""
    seconds: tuple[tuple[int, int, int], ...] = field(repr=False)
    """Second since the beginning, answered, lost."""

    @property
    def lost(self) -> int:
        """How many requests no workload answered."""
        return sum(self.failures.values())

    @classmethod
    def from_json(cls, data: Json) -> LaneResult:
        """Read what the workload says of a lane."""
        return cls(
            name=data["name"],
            kind=data["kind"],
            answered=data["answered"],
            connections=data["connections"],
            resets=data["resets"],
            skipped=data["skipped"],
            slowest=data["slowest"],
            failures=dict(data["failures"]),
            first_failures=tuple((at, text) for at, text in data["firstFailures"]),
            peers=tuple((found, at) for found, at in data["peers"]),
            seconds=tuple((second, answered, lost) for second, answered, lost in data["seconds"]),
        )


class Soak:
    """Traffic that runs; ``look`` while it does, ``seen`` afterwards."""

    def __init__(self, control: Callable[[str, Json], Json], lanes: Sequence[Lane], monitor: Monitor = SILENT) -> None:
        self._control = control
        self._monitor = monitor
        started = control("/v1/soak", {"lanes": [asdict(lane) for lane in lanes]})
        self._path = f"/v1/soak/{started['soak']}"
        self.seen: Mapping[str, LaneResult] = {}
        """By lane's name: the last look."""

    def look(self) -> Mapping[str, LaneResult]:
        """Give what was counted so far."""
        return self._ask(stop=False)

    def stop(self) -> Mapping[str, LaneResult]:
        """End the traffic; give what was counted when the last answer was in."""
        return self._ask(stop=True)

    def _ask(self, *, stop: bool) -> Mapping[str, LaneResult]:
        found = [LaneResult.from_json(item) for item in self._control(self._path, {"stop": stop})["lanes"]]
        self.seen = {result.name: result for result in found}
        counts = {"answered": sum(one.answered for one in found), "lost": sum(one.lost for one in found)}
        self._monitor.show(Status(phase="soak", done=sum(counts.values()), counts=counts))
        return self.seen
