"""The node's side of the spawner: pods' namespaces, containers and commands, awaited.

Starts, signals and waits. It keeps no Pod's state and reads no output; the
caller brings the descriptors.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.node import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_mesh.clusters.local.node.blueprints import Blueprint, Command

log = logging.getLogger(__name__)


class StartError(Exception):
    """A process or namespace could not be made; the text is the kernel's reason."""


@dataclass(slots=True)
class Sandbox:
    """What a pod's containers share; alive as long as it is not closed or a process is in it."""

    net: int
    ipc: int
    uts: int

    def close(self) -> None:
        """Let go of the namespaces. Idempotent."""
        for fd in {self.net, self.ipc, self.uts} - {-1}:
            os.close(fd)
        self.net = self.ipc = self.uts = -1


class Process:
    """A container's first process, or a command in it."""

    def __init__(self, name: str, exited: asyncio.Future[int], send: Callable[[int], None]) -> None:
        self.name = name
        self.exited = exited
        """The exit code; minus the number of the signal that ended it."""
        self._send = send

    @property
    def running(self) -> bool:
        return not self.exited.done()

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when the process has ended."""
        if self.running:
            self._send(number)


class Runtime:
    """One spawner, for one event loop."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._ids = itertools.count(1)
        self._exits: dict[str, asyncio.Future[int]] = {}
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the spawner is gone; the node cannot go on then."""
        asyncio.get_running_loop().add_reader(control.fileno(), self._read)

    def close(self) -> None:
        """Close the socket, which ends the spawner."""
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._control.close()

    async def sandbox(self, address: str, hostname: str, settings: Sequence[tuple[str, str]] = ()) -> Sandbox:
        """Make a pod's namespaces; with an empty ``address`` the pod shares the node's network."""
        _, fds = await self._ask({"op": "sandbox", "address": address, "hostname": hostname, "settings": settings}, ())
        return Sandbox(*fds)

    async def run(self, blueprint: Blueprint, sandbox: Sandbox, stdio: Sequence[int]) -> Process:
        """Start a container; returns once its program runs. ``stdio`` stays the caller's to close."""
        fds = (sandbox.net, sandbox.ipc, sandbox.uts, *stdio)
        return await self._start({"op": "run", "blueprint": blueprint.to_json()}, fds)

    async def execute(self, container: Process, command: Command, stdio: Sequence[int]) -> Process:
        """Start one more process in a container; returns once its program runs."""
        return await self._start({"op": "exec", "container": container.name, "command": command.to_json()}, stdio)

    async def connect(self, sandbox: Sandbox, port: int) -> socket.socket:
        """Give a connection to 127.0.0.1:port inside the pod; OSError when nobody listens there."""
        _, fds = await self._ask({"op": "socket"}, (sandbox.net,))
        connection = socket.socket(fileno=fds[0])
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        except BaseException:
            connection.close()
            raise
        return connection

    async def _start(self, request: dict[str, Any], fds: Sequence[int]) -> Process:
        name = str(next(self._ids))
        exited = asyncio.get_running_loop().create_future()
        self._exits[name] = exited
        try:
            await self._ask({**request, "id": name}, fds)
        except BaseException:
            # A start that was cancelled half way must not leave a process behind.
            self._send({"op": "signal", "id": name, "signal": 9})
            self._exits.pop(name, None)
            raise
        return Process(name, exited, lambda number: self._send({"op": "signal", "id": name, "signal": number}))

    async def _ask(self, request: dict[str, Any], fds: Sequence[int]) -> tuple[dict[str, Any], list[int]]:
        ours, theirs = messages.pair()
        with ours:
            ours.setblocking(False)
            with theirs:
                self._send(request, (theirs.fileno(), *fds))
            return await _answer(ours)

    def _send(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        try:
            messages.send(self._control, request, fds)
        except OSError as error:
            raise StartError(f"the node's spawner is gone: {error}") from error

    def _read(self) -> None:
        while True:
            try:
                message, _ = messages.receive(self._control, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                message = None
            if message is None:
                asyncio.get_running_loop().remove_reader(self._control.fileno())
                if not self.lost.done():
                    self.lost.set_result(None)
                return
            exited = self._exits.pop(message["exit"], None)
            if exited is not None and not exited.done():
                exited.set_result(message["code"])


async def _answer(reply: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Read the reply socket: the first message with its descriptors, or nothing when it is closed."""
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(reply.fileno(), lambda: None if readable.done() else readable.set_result(None))
    try:
        await readable
    finally:
        loop.remove_reader(reply.fileno())
    message, fds = messages.receive(reply)
    if message is None:
        return {}, []
    if "error" in message:
        raise StartError(message["error"])
    return message, fds
