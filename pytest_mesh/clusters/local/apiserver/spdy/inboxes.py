"""Bytes on their way to one reader: bounded, so that a slow reader holds up its writer."""

from __future__ import annotations

import asyncio
from collections import deque

UNREAD = 64
"""Chunks that may lie unread before the writer waits."""


class Inbox:
    """Chunks from one writer to one reader."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._ended = False
        self._abandoned = False
        self._readable = asyncio.Event()
        self._room = asyncio.Event()

    async def get(self) -> bytes:
        """Give the next chunk; none = there is nothing more to come."""
        while not self._chunks:
            if self._ended:
                return b""
            self._readable.clear()
            await self._readable.wait()
        self._room.set()
        return self._chunks.popleft()

    async def put(self, data: bytes) -> None:
        """Add a chunk, waiting for room; after the end it is dropped."""
        while len(self._chunks) >= UNREAD and not self._abandoned:
            self._room.clear()
            await self._room.wait()
        if data and not self._ended:
            self._chunks.append(data)
            self._readable.set()

    def end(self) -> None:
        """Say that nothing more comes; what lies here can still be read."""
        self._ended = True
        self._readable.set()

    def abandon(self) -> None:
        """End it, and let a writer that waits for room go on: nobody reads here any more."""
        self._abandoned = True
        self._room.set()
        self.end()
