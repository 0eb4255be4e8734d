"""The epoch gate: nothing is judged before the proxies under test have what was applied.

Documents of a suite are judged by the marker that their own routes answer with;
a user's documents, and kinds that have no routes, by the proxies' config dump
where it can be had, else by observing for a fixed time. The result says which.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from pytest_mesh.contracts import Batch, Observation, Request
from pytest_mesh.failures import Infrastructure, NotConverged, hidden
from pytest_mesh.progress import SILENT, Monitor, Status
from pytest_mesh.traffic.client import Send
from pytest_mesh.traffic.epoch import EPOCH_HEADER
from pytest_mesh.traffic.proxies import Proxy, wait_settled

__tracebackhide__ = hidden

_POLL_SECONDS = 0.03

How = Literal["marker", "dump", "unchanged", "observed"]
"""By the marker; by a changed and settled dump; by a dump that stayed as it was; by waiting alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A document whose routes carry a marker, with the requests that must meet it."""

    name: str
    epoch: str
    probes: tuple[Request, ...]


def at_port(request: Request, port: int) -> Request:
    """Give the request at another port of its host."""
    if port == 80:
        return request
    url = urlsplit(request.url)
    return replace(request, url=url._replace(netloc=f"{url.hostname}:{port}").geturl())


def pass_marked(
    client: str, send: Send, marked: Sequence[Marked], *, seconds: float, monitor: Monitor = SILENT
) -> None:
    """Wait until this client's proxy answers each host with the newest marker; raises ``NotConverged``."""
    waiting = [(document, probe) for document in marked for probe in document.probes]
    deadline = time.monotonic() + seconds
    seen = ""
    names = ", ".join(sorted(document.name for document in marked))
    while waiting:
        monitor.show(Status(phase=f"{names} on the way to the proxy of {client}", budget=seconds))
        batch = Batch(requests=tuple(probe for _, probe in waiting), connections=len(waiting), reuse=False)
        observations = [Observation.from_json(item) for item in send(batch)["observations"]]
        arrived = set()
        for one in observations:
            document, probe = waiting[one.request]
            values = [value for name, value in one.headers if name == EPOCH_HEADER]
            if values == [document.epoch]:
                arrived.add(one.request)
            else:
                seen = (
                    f"{probe.method} {probe.url} gave {one.failure or one.status}, {EPOCH_HEADER} {values or 'absent'}"
                )
        waiting = [item for index, item in enumerate(waiting) if index not in arrived]
        if waiting:
            if time.monotonic() > deadline:
                names = ", ".join(sorted({document.name for document, _ in waiting}))
                raise NotConverged(
                    f"{names}: the proxy of {client} does not route by it after {seconds:g} s "
                    f"(wanted {EPOCH_HEADER}: {waiting[0][0].epoch}; last: {seen})"
                )
            time.sleep(_POLL_SECONDS)


def pass_unmarked(proxies: Sequence[Proxy], before: dict[str, str], *, settle_seconds: float, seconds: float) -> How:
    """Wait for documents that carry no marker; say how it was judged."""
    if proxies:
        try:
            changed = wait_settled(proxies, before, change_seconds=settle_seconds, seconds=seconds)
        except Infrastructure:
            pass
        else:
            return "dump" if changed else "unchanged"
    time.sleep(settle_seconds)
    return "observed"
