"""A SPDY/3.1 server connection: accepts the client's streams and carries their bytes over any pipe.

Flow control is left to the pipe: Kubernetes' own SPDY neither sends nor obeys WINDOW_UPDATE.
A stream that nobody reads therefore holds up its connection, as it does there. It opens no streams.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from pytest_mesh.clusters.local.apiserver.spdy import frames
from pytest_mesh.clusters.local.apiserver.spdy.headers import SpdyError
from pytest_mesh.clusters.local.apiserver.spdy.inboxes import Inbox

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

CHUNK = 1 << 15
"""Bytes of one DATA frame at most, so that one stream does not hold the others up."""


class Pipe(Protocol):
    """A bidirectional stream of bytes: a hijacked connection, or a WebSocket that tunnels one."""

    async def read(self) -> bytes:
        """Give the next bytes; none = the end."""
        ...

    async def write(self, data: bytes) -> None: ...


class Stream:
    """One stream of a session. ``read`` and ``write`` end quietly with the stream."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers
        self._session = session
        self._inbox = Inbox()
        self.closed = False
        """Nothing more may be written."""
        self.reset = False
        """One side ended the stream at once."""

    async def read(self) -> bytes:
        """Give the next bytes; none = the peer has closed its half, or the stream is over."""
        return await self._inbox.get()

    async def write(self, data: bytes) -> None:
        """Send bytes; on a stream that is over they are dropped."""
        for start in range(0, len(data), CHUNK):
            if self.closed:
                return
            await self._session.send(frames.Data(stream=self.number, payload=data[start : start + CHUNK]))

    async def close(self) -> None:
        """Close our half: the peer reads the end."""
        if not self.closed:
            self.closed = True
            await self._session.send(frames.Data(stream=self.number, fin=True))

    async def feed(self, data: bytes) -> None:
        """Take bytes from the connection."""
        await self._inbox.put(data)

    def end(self) -> None:
        """The peer sends nothing more."""
        self._inbox.end()

    def abort(self) -> None:
        """The stream is over in both directions."""
        self.reset = True
        self.closed = True
        self._inbox.abandon()


class Session:
    """A server's end of a connection. Run :meth:`run` in a task; take streams with :meth:`accept`."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._encoder = frames.FrameEncoder()
        self._decoder = frames.FrameDecoder()
        self._sending = asyncio.Lock()
        self._streams: dict[int, Stream] = {}
        self._accepted: asyncio.Queue[Stream | None] = asyncio.Queue()
        self._over = False

    async def run(self) -> None:
        """Serve until the peer closes or breaks the protocol; then every stream is over and ``accept`` gives None."""
        try:
            while data := await self._pipe.read():
                for frame in self._decoder.feed(data):
                    await self._handle(frame)
        except SpdyError as error:
            logger.info("SPDY connection ended: %s", error)
            await self.send(frames.GoAway(last_good=max(self._streams, default=0), status=1))
        except ConnectionError as error:
            logger.debug("SPDY connection lost: %s", error)
        finally:
            self._over = True
            for stream in self._streams.values():
                stream.abort()
            self._accepted.put_nowait(None)

    async def accept(self) -> Stream | None:
        """Give the next stream that the client opened; None when the connection is over."""
        return await self._accepted.get()

    async def send(self, frame: frames.Frame) -> None:
        """Send one frame; on a connection that is over it is dropped."""
        if self._over:
            return
        # The order of compressed header blocks must be the wire's.
        async with self._sending:
            try:
                await self._pipe.write(self._encoder.encode(frame))
            except ConnectionError as error:
                logger.debug("SPDY connection lost: %s", error)
                self._over = True

    async def _handle(self, frame: frames.Frame) -> None:
        match frame:
            case frames.SynStream():
                await self._open(frame)
            case frames.Data() | frames.Headers():
                await self._deliver(frame)
            case frames.RstStream():
                if stream := self._streams.pop(frame.stream, None):
                    stream.abort()
            case frames.Ping():
                if frame.id % 2:  # the client's own; even ids would answer pings that are never sent
                    await self.send(frame)
            case frames.GoAway():
                logger.debug("the SPDY client is going away, status %d", frame.status)
            case _:
                pass

    async def _open(self, frame: frames.SynStream) -> None:
        if frame.stream % 2 == 0 or frame.stream in self._streams:
            await self.send(frames.RstStream(stream=frame.stream, status=frames.PROTOCOL_ERROR))
            return
        stream = self._streams[frame.stream] = Stream(self, frame.stream, frame.headers)
        if frame.fin:
            stream.end()
        await self.send(frames.SynReply(stream=frame.stream))
        self._accepted.put_nowait(stream)

    async def _deliver(self, frame: frames.Data | frames.Headers) -> None:
        stream = self._streams.get(frame.stream)
        if stream is None:
            if isinstance(frame, frames.Data):
                await self.send(frames.RstStream(stream=frame.stream, status=frames.INVALID_STREAM))
            return
        if isinstance(frame, frames.Data):
            await stream.feed(frame.payload)
        if frame.fin:
            stream.end()

    async def refuse(self, stream: Stream) -> None:
        """Reset a stream that nothing is to be done with."""
        self.forget(stream)
        await self.send(frames.RstStream(stream=stream.number, status=frames.REFUSED_STREAM))

    def forget(self, stream: Stream) -> None:
        """Drop a stream whose work is done; what still comes for it is answered with RST_STREAM."""
        stream.abort()
        self._streams.pop(stream.number, None)
