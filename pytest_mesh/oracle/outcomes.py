"""What may come of one request, with probabilities, and why: the oracle's answer as plain data and in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from pytest_mesh.oracle.fields import Line
from pytest_mesh.oracle.model import Workload

Flag = Literal["", "NR", "NC", "UH", "FI", "UT", "BH"]
"""As in Envoy's access logs: no route, no cluster, no healthy upstream, fault injected, timeout; BH = block_all (F7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A mirrored request (R7)."""

    host: str
    subset: str
    port: int
    per_million: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One thing that may happen."""

    probability: Fraction = Fraction(1)
    by: Literal["workload", "proxy", "outside"] = "workload"
    """Who answers; ``outside`` = whatever the client's connection goes to, of which nothing is known (F6)."""
    status: int = 200
    """0 = the connection is closed without an answer (or there is no HTTP on it, where a workload is reached)."""
    flag: Flag = ""
    host: str = ""
    """The Service that answers."""
    subset: str = ""
    port: int = 0
    workloads: tuple[Workload, ...] = ()
    """Any of these may answer."""
    method: str = ""
    path: str = ""
    """As the workload sees it, with the query."""
    authority: str = ""
    request_headers: Mapping[str, str | None] = field(default_factory=dict)
    """Of the headers that the route changes: the values that the workload sees, joined by a comma; None = absent."""
    response_headers: Mapping[str, str | None] = field(default_factory=dict)
    """The same of the answer's."""
    location: str | None = None
    body: str | None = None
    """None = nothing is said of it."""
    grpc_status: int | None = None
    """Code that a proxy tells a gRPC caller."""
    delay: float = 0.0
    """Seconds that the answer takes at least."""
    mirrors: tuple[Copy, ...] = ()

    def __str__(self) -> str:
        if self.by == "outside":
            where = f"endpoints of {self.host}:{self.port}" if self.host else "the address that the client connects to"
            return f"whatever answers at {where}"
        if self.by == "proxy" and not self.status:
            return f"a connection that the client's proxy closes{f' ({self.flag})' if self.flag else ''}"
        after = f" after {self.delay:g} s" if self.delay else ""
        if self.by == "proxy":
            what = f"{self.status} from the client's proxy{f' ({self.flag})' if self.flag else ''}"
            return f"{what}{f', Location {self.location}' if self.location is not None else ''}{after}"
        names = " or ".join(one.name for one in self.workloads)
        subset = f" subset {self.subset}" if self.subset else ""
        if not self.status:
            return f"a connection to {names} ({self.host}:{self.port}{subset})"
        return (
            f"{self.status} from {names} ({self.host}:{self.port}{subset}), which sees {self.method} {self.path}{after}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the decision."""

    words: str
    line: Line | None = None

    def __str__(self) -> str:
        return f"{self.words} [{self.line}]" if self.line else self.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Everything that may come of a request; the probabilities sum to 1."""

    outcomes: tuple[Outcome, ...]
    steps: tuple[Step, ...]
    assumptions: tuple[str, ...] = ()
    """What must hold for the prediction to stand ("no pod is ejected")."""

    @property
    def certain(self) -> Outcome | None:
        """The outcome, where there is only one."""
        return self.outcomes[0] if len(self.outcomes) == 1 else None

    @property
    def shares(self) -> dict[str, Fraction]:
        """Probability by subset (by Service host where no subset is named); answers of proxies by status."""
        found: dict[str, Fraction] = {}
        for one in self.outcomes:
            key = str(one.status) if one.by == "proxy" else one.subset or one.host
            found[key] = found.get(key, Fraction(0)) + one.probability
        return found

    def explain(self) -> str:
        """Give the decision in words: what is allowed, then the lines that decide, then what is assumed."""
        allowed = [f"{_percent(one.probability)} {one}" for one in self.outcomes]
        lines = ["allowed:", *(f"  {text}" for text in allowed), "because:", *(f"  {step}" for step in self.steps)]
        if self.assumptions:
            lines += ["assumed:", *(f"  {text}" for text in self.assumptions)]
        return "\n".join(lines)


def merged(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """Put equal outcomes together, leave out impossible ones; in their own order."""
    found: list[Outcome] = []
    for one in outcomes:
        if not one.probability:
            continue
        for index, other in enumerate(found):
            if replace(other, probability=one.probability) == one:
                found[index] = replace(other, probability=other.probability + one.probability)
                break
        else:
            found.append(one)
    return tuple(found)


def _percent(share: Fraction) -> str:
    return f"{float(share * 100):.4g}%"
