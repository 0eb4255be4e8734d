"""Output of a process on its way to one client: so much of it waits, and beyond that the process does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.node.processes import Stdio

MOST_WAITING: Final = 1 << 20
"""Bytes that wait for a client before the process is held up."""


class Backlog:
    """Chunks of output in order, each with its stream; an empty chunk is the end."""

    def __init__(self) -> None:
        self.source: Stdio | None = None
        """Whose output it is, and whose reading is held."""
        self._chunks: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._size = 0

    def put(self, stream: str, data: bytes) -> None:
        """Take a chunk."""
        self._chunks.put_nowait((stream, data))
        self._size += len(data)
        if self._size > MOST_WAITING and self.source is not None:
            self.source.hold(self)

    async def get(self) -> tuple[str, bytes]:
        """Give the next chunk."""
        stream, data = await self._chunks.get()
        self._size -= len(data)
        if self._size <= MOST_WAITING:
            self.close()
        return stream, data

    def close(self) -> None:
        """Hold nobody up. Idempotent."""
        if self.source is not None:
            self.source.release(self)
