"""Traffic that runs until it is told to stop: requests by the clock on new connections, and on one kept open.

It counts what was lost, what was reset and which certificates the answering side
saw, second by second; it judges nothing and never sends a request twice.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections import Counter
from typing import Any

from pytest_mesh.contracts import Request
from pytest_mesh.workloads.connections import ExchangeError, resolve
from pytest_mesh.workloads.targets import Connection, Target, open_connection

Json = dict[str, Any]

KINDS = ("new", "kept", "http2")
MOST_IN_FLIGHT = 64
"""Exchanges of one lane that may be under way. A request beyond is not sent: more would say more of the machine than of the mesh."""
MOST_SOAKS = 8
_HASH = re.compile(rb"Hash=([0-9a-f]{64})")
_ECHO = b'{"version":"'


class SoakError(ValueError):
    """A soak that cannot be run; the message names the field."""


class Lane:
    """One kind of traffic to one URL."""

    def __init__(self, name: str, *, kind: str, url: str, per_second: float, timeout: float) -> None:
        self.name = name
        self.kind = kind
        self.url = url
        if not 0 < per_second < math.inf:
            raise ValueError(f"per_second: {per_second!r} is not above 0")
        self._pause = 1 / per_second
        self._timeout = timeout
        if kind == "http2" and url.startswith("http://"):
            url = f"http2://{url.removeprefix('http://')}"
        self._target = Target(Request(url=url, timeout=timeout))
        self._address: tuple[str, int] = ("", 0)
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._in_flight: set[asyncio.Task[None]] = set()
        self.answered = 0
        self.connections = 0
        self.resets = 0
        self.skipped = 0
        self.slowest = 0.0
        self.failures: Counter[str] = Counter()
        self.first_failures: list[tuple[float, str]] = []
        self.peers: dict[str, float] = {}
        """Hash of the client certificate that the answering side saw: when first, in seconds."""
        self._seconds: dict[int, list[int]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Send until ``stop``; return when everything sent is answered or lost."""
        self._began = self._loop.time()
        try:
            self._address = await resolve(self._target.host, self._target.port, within=self._timeout)
        except ExchangeError as error:
            self._lose(error)
            return
        await (self._send_new(stop) if self.kind == "new" else self._send_kept(stop))

    def to_json(self) -> Json:
        """Give what was counted so far."""
        return {
            "name": self.name,
            "kind": self.kind,
            "answered": self.answered,
            "connections": self.connections,
            "resets": self.resets,
            "skipped": self.skipped,
            "slowest": round(self.slowest, 3),
            "failures": dict(self.failures),
            "firstFailures": self.first_failures,
            "peers": list(self.peers.items()),
            "seconds": [[second, *counts] for second, counts in sorted(self._seconds.items())],
        }

    async def _send_new(self, stop: asyncio.Event) -> None:
        """Send by the clock, whatever becomes of the requests before: a slow peer does not slow its caller down."""
        async with asyncio.TaskGroup() as exchanges:
            for number in itertools.count():
                if stop.is_set():
                    break
                due = self._began + number * self._pause
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if len(self._in_flight) >= MOST_IN_FLIGHT:
                    self.skipped += 1
                    continue
                task = exchanges.create_task(self._exchange_once())
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def _exchange_once(self) -> None:
        started = self._loop.time()
        connection: Connection | None = None
        try:
            connection = await open_connection(self._target, self._address)
            self.connections += 1
            message = await connection.send(self._target.data, timeout=self._timeout)
            self._take(int(message.start[9:12]), message.body, started)
        except ExchangeError as error:
            self._lose(error)
        finally:
            if connection is not None:
                connection.close()

    async def _send_kept(self, stop: asyncio.Event) -> None:
        connection: Connection | None = None
        while not stop.is_set():
            started = self._loop.time()
            try:
                if connection is None or not connection.usable:
                    if connection is not None:
                        self.resets += 1
                        connection = None
                    self.connections += 1
                    connection = await open_connection(self._target, self._address)
                message = await connection.send(self._target.data, timeout=self._timeout)
                self._take(int(message.start[9:12]), message.body, started)
            except ExchangeError as error:
                self._lose(error)
            await asyncio.sleep(max(0.0, started + self._pause - self._loop.time()))
        if connection is not None:
            connection.close()

    def _take(self, status: int, body: bytes, started: float) -> None:
        if not body.startswith(_ECHO):
            said = " ".join(body[:120].decode("utf-8", "replace").split())
            self._lose(
                ExchangeError("protocol", f"status {status or 'unknown'} from a proxy: {said}"), f"status {status}"
            )
            return
        now = self._loop.time()
        self.answered += 1
        self.slowest = max(self.slowest, now - started)
        self._count(0)
        found = _HASH.findall(body)
        if found:
            self.peers.setdefault(found[-1].decode(), round(now - self._began, 2))

    def _lose(self, error: ExchangeError, word: str = "") -> None:
        self.failures[word or error.failure] += 1
        self._count(1)
        if len(self.first_failures) < 20:
            self.first_failures.append((round(self._loop.time() - self._began, 2), f"{error.failure}: {error}"))

    def _count(self, column: int) -> None:
        second = int(self._loop.time() - self._began)
        self._seconds.setdefault(second, [0, 0])[column] += 1


class Soaks:
    """The soaks of one workload."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[asyncio.Event, list[Lane], asyncio.Task[None]]] = {}
        self._numbers = itertools.count(1)

    def start(self, data: Json) -> Json:
        """Begin; gives ``{"soak": id}``. Raises :class:`SoakError`."""
        lanes = _lanes(data)
        if len(self._running) >= MOST_SOAKS:
            raise SoakError(f"{MOST_SOAKS} soaks run already: stop one")
        stop = asyncio.Event()
        task = asyncio.get_running_loop().create_task(_run(lanes, stop))
        name = str(next(self._numbers))
        self._running[name] = (stop, lanes, task)
        return {"soak": name}

    async def look(self, name: str, data: Json) -> Json:
        """Give what a soak counted so far; with ``{"stop": true}`` end it first. Raises :class:`SoakError`."""
        if not isinstance(data, dict):
            raise SoakError("what is asked of a soak is a JSON object")
        if name not in self._running:
            raise SoakError(f"soak {name!r} does not run here")
        stop, lanes, task = self._running[name]
        if data.get("stop"):
            stop.set()
            del self._running[name]
            await task
        elif task.done():
            task.result()
        return {"lanes": [lane.to_json() for lane in lanes]}


async def _run(lanes: list[Lane], stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        for lane in lanes:
            tasks.create_task(lane.run(stop))


def _lanes(data: Json) -> list[Lane]:
    if not isinstance(data, dict) or set(data) != {"lanes"} or not isinstance(data["lanes"], list) or not data["lanes"]:
        raise SoakError('a soak is {"lanes": [...]} with one lane at least')
    try:
        lanes = [Lane(**item) for item in data["lanes"]]
    except (TypeError, ValueError, ZeroDivisionError, UnicodeEncodeError) as error:
        raise SoakError(f"lanes: {error}") from error
    if wrong := [lane.kind for lane in lanes if lane.kind not in KINDS]:
        raise SoakError(f"lanes: kind {wrong[0]!r} is not known here (known: {', '.join(KINDS)})")
    return lanes
