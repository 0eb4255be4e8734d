"""Reads access logs in Istio's default text format: what a proxy says of a request that its answer does not say. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE = re.compile(
    r'\[[^\]]*\] "\S+ \S+ \S+" (?P<status>\d+) (?P<flags>\S+) (?P<details>\S+) \S+ "[^"]*" \d+ \d+ \d+ \S+ '
    r'"[^"]*" "[^"]*" "(?P<id>[^"]*)" "[^"]*" "[^"]*" (?P<cluster>\S+) .* (?P<route>\S+)$'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One logged request."""

    id: str
    """Its ``x-request-id``."""
    status: int
    flags: str
    """Response flags: ``NR``, ``NC``, ``UH`` ...; ``-`` = none."""
    details: str
    cluster: str
    """Upstream cluster, ``outbound|80|v1|reviews.shop.svc.cluster.local``; ``-`` = none."""
    route: str

    @property
    def inbound(self) -> bool:
        """Whether the server's proxy wrote it."""
        return self.cluster.startswith("inbound|")


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Give what the lines say that are of this format; others are passed over."""
    for line in lines:
        found = _LINE.match(line.rstrip())
        if found:
            yield Entry(**{**found.groupdict(), "status": int(found["status"])})  # type: ignore[arg-type]
