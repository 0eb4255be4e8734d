"""Sends the requests of a Batch under control: how many at once, on which connections, released when; records what came back.

It records and counts; it does not judge, retry or wait for anything to become true.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pytest_mesh.contracts import WIRE_VERSION, Batch, Json, Request
from pytest_mesh.workloads.connections import ExchangeError, resolve
from pytest_mesh.workloads.http1 import Message
from pytest_mesh.workloads.targets import Connection, Target, open_connection

MAX_EXCHANGES = 1_000_000
MAX_CONNECTIONS = 2_000

_ECHO = b'{"version":"'

Held = dict[tuple[str, str, int, str], tuple[int, Connection]]
"""Connections of one lane, by what can share them, each with its number."""


class BatchError(ValueError):
    """A Batch that cannot be sent; the message names the field."""


def parse_batch(data: Json) -> Batch:
    """Read what ``Batch.to_json`` wrote; raises :class:`BatchError`."""
    if not isinstance(data, dict):
        raise BatchError("a Batch is a JSON object")
    fields = dict(data)
    if (wire := fields.pop("wire", None)) != WIRE_VERSION:
        raise BatchError(f"wire: version {wire!r} is not spoken here, only {WIRE_VERSION}")
    try:
        requests = tuple(
            Request(**{**item, "headers": tuple((str(k), str(v)) for k, v in item.get("headers", ()))})
            for item in fields.pop("requests")
        )
        batch = Batch(requests=requests, **fields)
    except (TypeError, KeyError, ValueError) as error:
        raise BatchError(f"not a Batch: {error}") from error
    if not requests:
        raise BatchError("requests: there must be one at least")
    if not isinstance(batch.connections, int) or not isinstance(batch.count, int):
        raise BatchError(f"connections, count: {batch.connections!r}, {batch.count!r} are not both whole numbers")
    if not 1 <= batch.connections <= MAX_CONNECTIONS:
        raise BatchError(f"connections: {batch.connections} is not between 1 and {MAX_CONNECTIONS}")
    if batch.count < 1 or batch.count * len(requests) > MAX_EXCHANGES:
        raise BatchError(f"count: {batch.count} makes none, or more than {MAX_EXCHANGES} exchanges")
    if batch.record not in {"each", "counts"} or batch.key not in {"version", "pod", "status"}:
        raise BatchError(f"record, key: {batch.record!r}, {batch.key!r} are not known here")
    return batch


async def run_batch(batch: Batch) -> Json:
    """Send a Batch; give the answer's JSON (``observations``, or ``counts`` with ``runs`` and ``failures``)."""
    try:
        targets = [Target(request) for request in batch.requests]
    except (ValueError, UnicodeEncodeError) as error:
        raise BatchError(f"requests: {error}") from error
    return await _Run(batch, targets).send()


class _Run:
    """The state of one Batch while it is sent."""

    def __init__(self, batch: Batch, targets: list[Target]) -> None:
        self._batch = batch
        self._targets = targets
        self._total = batch.count * len(targets)
        self._order: Iterator[int] = iter(range(self._total))
        self._addresses: dict[tuple[str, int], tuple[str, int] | ExchangeError] = {}
        self._release = asyncio.Event()
        self._opened = 0
        self._connections = 0
        self._observations: list[Json] = []
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._runs: list[list[tuple[str, int]]] = []

    async def send(self) -> Json:
        started = time.perf_counter()
        await self._resolve_all()
        lanes = min(self._batch.connections, self._total)
        async with asyncio.TaskGroup() as group:
            for number in range(lanes):
                group.create_task(self._lane(number, lanes))
        seconds = round(time.perf_counter() - started, 6)
        if self._batch.record == "counts":
            return {
                "counts": dict(self._counts),
                "runs": self._runs,
                "failures": dict(self._failures),
                "seconds": seconds,
            }
        return {"observations": self._observations, "seconds": seconds}

    async def _resolve_all(self) -> None:
        for target in self._targets:
            name = (target.host, target.port)
            if name not in self._addresses:
                try:
                    self._addresses[name] = await resolve(*name, within=target.timeout)
                except ExchangeError as error:
                    self._addresses[name] = error

    async def _lane(self, number: int, lanes: int) -> None:
        """Carry out exchanges one after the other, until none is left."""
        runs: list[list[Any]] = []
        held: Held = {}
        if self._batch.barrier:
            await self._stand_at_barrier(number, lanes, held)
        for item in self._order:
            index = item % len(self._targets)
            key = await self._exchange(index, held)
            if key is not None:
                if runs and runs[-1][0] == key:
                    runs[-1][1] += 1
                else:
                    runs.append([key, 1])
        for _, connection in held.values():
            connection.close()
        if runs:
            self._runs.append([(key, length) for key, length in runs])

    async def _stand_at_barrier(self, number: int, lanes: int, held: Held) -> None:
        """Open this lane's connection and wait until every lane has one; a failed one shows in its exchange."""
        target = self._targets[number % len(self._targets)]
        with contextlib.suppress(ExchangeError):
            held[target.held_by] = await self._open(target)
        self._opened += 1
        if self._opened == lanes:
            self._release.set()
        await self._release.wait()

    async def _open(self, target: Target) -> tuple[int, Connection]:
        address = self._addresses[target.host, target.port]
        if isinstance(address, ExchangeError):
            raise ExchangeError(address.failure, str(address))
        connection = await open_connection(target, address)
        self._connections += 1
        return self._connections - 1, connection

    async def _exchange(self, index: int, held: Held) -> str | None:
        target = self._targets[index]
        name = target.held_by
        started = time.perf_counter()
        number = -1
        message: Message | None = None
        problem: ExchangeError | None = None
        try:
            if name not in held or not held[name][1].usable:
                held[name] = await self._open(target)
            number, connection = held[name]
            message = await connection.send(target.data, timeout=target.timeout, bodyless=target.bodyless)
        except ExchangeError as error:
            problem = error
        if name in held and not (self._batch.reuse and held[name][1].usable):
            held.pop(name)[1].close()
        if self._batch.record == "counts":
            return self._count(message, problem)
        seconds = round(time.perf_counter() - started, 6)
        self._observations.append(_observation(index, number, seconds, message, problem))
        return None

    def _count(self, message: Message | None, problem: ExchangeError | None) -> str | None:
        if message is None:
            self._failures[problem.failure if problem else "protocol"] += 1
            return None
        key = _key(message, self._batch.key)
        if key is None:
            status = message.header("grpc-status")
            self._failures[f"grpc-status {status}" if status else f"status {message.start[9:12]}"] += 1
        else:
            self._counts[key] += 1
        return key


def _key(message: Message, key: str) -> str | None:
    """Give what an answer is counted under; None for an answer that came from no workload."""
    if key == "status":
        return message.header("grpc-status") or message.start[9:12]
    body = message.body
    if not body.startswith(_ECHO):
        return None
    end = body.index(b'"', len(_ECHO))
    if key == "pod":
        begin = body.index(b'"pod":"', end) + 7
        return body[begin : body.index(b'"', begin)].decode()
    return body[len(_ECHO) : end].decode()


def _observation(
    index: int, connection: int, seconds: float, message: Message | None, problem: ExchangeError | None
) -> Json:
    base: Json = {"request": index, "connection": connection, "seconds": seconds}
    if message is None:
        return {**base, "failure": problem.failure if problem else "protocol", "detail": str(problem)}
    echo = None
    if message.body.startswith(_ECHO):
        try:
            echo = json.loads(message.body)
        except ValueError:
            echo = None
    return {
        **base,
        "status": int(message.start[9:12]),
        "headers": message.headers,
        "body": "" if echo else message.body.decode("utf-8", "replace"),
        "echo": echo,
    }
