"""The frames of SPDY/3.1 as bytes, both ways. Pure: a connection's state is two zlib contexts and a buffer.

It does not check the order of frames nor the life of streams: ``session`` does.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.spdy.headers import HeaderCompressor, HeaderDecompressor, SpdyError

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 3
FLAG_FIN = 0x01

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9

# Reasons of RST_STREAM.
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SynStream:
    """Opens a stream; ``fin`` = its opener will send nothing on it."""

    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False
    associated: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SynReply:
    """Accepts a stream."""

    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """More headers of an open stream."""

    stream: int
    headers: dict[str, str] = field(default_factory=dict)
    fin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Bytes of a stream; ``fin`` = the last ones in this direction."""

    stream: int
    payload: bytes = b""
    fin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RstStream:
    """Ends a stream at once, in both directions."""

    stream: int
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Odd ids are the client's; whoever receives the other's id sends it back."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAway:
    """No stream after ``last_good`` will be served."""

    last_good: int
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowUpdate:
    """The receiver of ``stream`` (0 = the connection) takes ``delta`` bytes more."""

    stream: int
    delta: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Values by setting id."""

    values: dict[int, int] = field(default_factory=dict)


Frame = SynStream | SynReply | Headers | Data | RstStream | Ping | GoAway | WindowUpdate | Settings


class FrameEncoder:
    """Turns frames into bytes; header blocks depend on the ones before, so the order of calls is the wire's."""

    def __init__(self) -> None:
        self._compressor = HeaderCompressor()

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data():
                flags = FLAG_FIN if frame.fin else 0
                return struct.pack(">II", frame.stream, flags << 24 | len(frame.payload)) + frame.payload
            case SynStream():
                start = struct.pack(">IIBB", frame.stream, frame.associated, frame.priority << 5, 0)
                return _control(SYN_STREAM, start + self._compressor.encode(frame.headers), fin=frame.fin)
            case SynReply() | Headers():
                kind = SYN_REPLY if isinstance(frame, SynReply) else HEADERS
                block = self._compressor.encode(frame.headers)
                return _control(kind, struct.pack(">I", frame.stream) + block, fin=frame.fin)
            case RstStream():
                return _control(RST_STREAM, struct.pack(">II", frame.stream, frame.status))
            case Ping():
                return _control(PING, struct.pack(">I", frame.id))
            case GoAway():
                return _control(GOAWAY, struct.pack(">II", frame.last_good, frame.status))
            case WindowUpdate():
                return _control(WINDOW_UPDATE, struct.pack(">II", frame.stream, frame.delta))
            case Settings():
                pairs = b"".join(struct.pack(">II", key, value) for key, value in frame.values.items())
                return _control(SETTINGS, struct.pack(">I", len(frame.values)) + pairs)


def _control(kind: int, payload: bytes, *, fin: bool = False) -> bytes:
    flags = FLAG_FIN if fin else 0
    return struct.pack(">HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload


class FrameDecoder:
    """Turns bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._decompressor = HeaderDecompressor()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Give the frames that ``data`` completes; raises SpdyError at the first wrong one."""
        self._buffer += data
        while len(self._buffer) >= 8:
            word, rest = struct.unpack_from(">II", self._buffer, 0)
            length = rest & 0xFFFFFF
            if len(self._buffer) < 8 + length:
                return
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            fin = bool((rest >> 24) & FLAG_FIN)
            if not word & 0x80000000:
                yield Data(stream=word, payload=payload, fin=fin)
                continue
            version, kind = (word >> 16) & 0x7FFF, word & 0xFFFF
            if version != VERSION:
                raise SpdyError(f"control frame of version {version}, expected {VERSION}")
            try:
                frame = self._control(kind, payload, fin=fin)
            except struct.error as error:
                raise SpdyError(f"control frame of type {kind} is too short: {error}") from error
            if frame is not None:
                yield frame

    def _control(self, kind: int, payload: bytes, *, fin: bool) -> Frame | None:
        if kind == PING:
            return Ping(id=struct.unpack_from(">I", payload)[0])
        if kind == SETTINGS:
            (count,) = struct.unpack_from(">I", payload)
            pairs = [struct.unpack_from(">II", payload, 4 + 8 * index) for index in range(count)]
            return Settings(values={key & 0xFFFFFF: value for key, value in pairs})
        if kind in {RST_STREAM, GOAWAY, WINDOW_UPDATE}:
            first, second = struct.unpack_from(">II", payload)
            if kind == GOAWAY:
                return GoAway(last_good=first & 0x7FFFFFFF, status=second)
            if kind == RST_STREAM:
                return RstStream(stream=first & 0x7FFFFFFF, status=second)
            return WindowUpdate(stream=first & 0x7FFFFFFF, delta=second & 0x7FFFFFFF)
        if kind in {SYN_REPLY, HEADERS}:
            (stream,) = struct.unpack_from(">I", payload)
            headers = self._decompressor.decode(payload[4:])
            make = SynReply if kind == SYN_REPLY else Headers
            return make(stream=stream & 0x7FFFFFFF, headers=headers, fin=fin)
        if kind == SYN_STREAM:
            stream, associated, priority = struct.unpack_from(">IIB", payload)
            return SynStream(
                stream=stream & 0x7FFFFFFF,
                headers=self._decompressor.decode(payload[10:]),
                fin=fin,
                associated=associated & 0x7FFFFFFF,
                priority=priority >> 5,
            )
        # "Control frames of unknown type must be ignored."
        return None
