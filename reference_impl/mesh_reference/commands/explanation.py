"""What ``explain`` says of one request: the steps, and everything that may come of it. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision: what decided, what it said, where that is written, and what was passed over before."""

    name: str
    text: str
    place: str = ""
    """``file:line``, or the field of the resource when it came from a cluster."""
    passed_over: tuple[str, ...] = ()

    def to_json(self) -> Json:
        return {"step": self.name, "text": self.text, "place": self.place, "passedOver": list(self.passed_over)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One thing that may come of a request. ``share`` is of all such requests, 0 to 1.

    ``status`` 0 = the workload's own answer; else the proxy answers it, and ``flag`` is Envoy's for why (RBAC where the
    server's proxy refuses it by AuthorizationPolicy). ``host`` and
    ``path`` are as the workload sees them. Headers: those that the mesh touches, after it did; None = removed. A response
    header's value is what the mesh makes of an answer that had no such header.
    """

    share: float = 1.0
    status: int = 0
    flag: str = ""
    cluster: str = ""
    host: str = ""
    path: str = ""
    location: str = ""
    request_headers: Mapping[str, str | None] = field(default_factory=dict)
    response_headers: Mapping[str, str | None] = field(default_factory=dict)

    def to_json(self) -> Json:
        out: Json = {"share": round(self.share, 6)}
        for name, value in (
            ("status", self.status), ("flag", self.flag), ("cluster", self.cluster), ("host", self.host),
            ("path", self.path), ("location", self.location), ("requestHeaders", dict(self.request_headers)),
            ("responseHeaders", dict(self.response_headers)),
        ):  # fmt: skip
            if value:
                out[name] = value
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A mirror: requests of this share (0 to 1) are sent to the cluster as well, and its answers thrown away."""

    cluster: str
    share: float

    def to_json(self) -> Json:
        return {"cluster": self.cluster, "share": round(self.share, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """A share (0 to 1) of requests waits so many seconds first."""

    seconds: float
    share: float

    def to_json(self) -> Json:
        return {"seconds": self.seconds, "share": round(self.share, 6)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The steps, and how it ends: in words, as answers, and the clusters with their weights."""

    steps: tuple[Step, ...]
    outcome: str
    answers: tuple[Answer, ...] = ()
    clusters: tuple[tuple[str, int], ...] = ()
    copies: tuple[Copied, ...] = ()
    delay: Delay | None = None

    @property
    def fails(self) -> bool:
        """Does every such request end in 404 NR, 503 NC, 503 UH, 502, 403 of a policy or a reset?"""
        return bool(self.answers) and all(
            answer.flag in {"NR", "NC", "UH", "BH", "RBAC", "UC"} for answer in self.answers
        )

    def to_json(self) -> Json:
        out: Json = {
            "outcome": self.outcome,
            "clusters": [{"cluster": name, "weight": weight} for name, weight in self.clusters],
            "answers": [answer.to_json() for answer in self.answers],
            "steps": [step.to_json() for step in self.steps],
        }
        if self.copies:
            out["copies"] = [item.to_json() for item in self.copies]
        if self.delay is not None:
            out["delay"] = self.delay.to_json()
        return out
