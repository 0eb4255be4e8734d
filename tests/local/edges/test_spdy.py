"""SPDY/3.1 frames and sessions."""

from __future__ import annotations

import asyncio
import contextlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.clusters.local.apiserver.spdy import frames
from pytest_mesh.clusters.local.apiserver.spdy.headers import (
    DICTIONARY,
    MAX_BLOCK,
    HeaderCompressor,
    HeaderDecompressor,
    SpdyError,
)
from pytest_mesh.clusters.local.apiserver.spdy.inboxes import UNREAD
from pytest_mesh.clusters.local.apiserver.spdy.session import Session

numbers = st.integers(1, 0x7FFFFFFF)
header_maps = st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True), st.text(max_size=30), max_size=5)
any_frame = st.one_of(
    st.builds(frames.SynStream, stream=numbers, headers=header_maps, fin=st.booleans(), priority=st.integers(0, 7)),
    st.builds(frames.SynReply, stream=numbers, headers=header_maps, fin=st.booleans()),
    st.builds(frames.Headers, stream=numbers, headers=header_maps, fin=st.booleans()),
    st.builds(frames.Data, stream=numbers, payload=st.binary(max_size=100), fin=st.booleans()),
    st.builds(frames.RstStream, stream=numbers, status=st.integers(1, 11)),
    st.builds(frames.Ping, id=numbers),
    st.builds(frames.GoAway, last_good=numbers, status=st.integers(0, 2)),
    st.builds(frames.WindowUpdate, stream=numbers, delta=numbers),
    st.builds(frames.Settings, values=st.dictionaries(st.integers(1, 7), st.integers(0, 0xFFFFFFFF), max_size=3)),
)


@given(st.lists(any_frame, max_size=8), st.integers(1, 40))
def test_frames_survive_the_wire_however_it_is_cut(sent, size):
    encoder, decoder = frames.FrameEncoder(), frames.FrameDecoder()
    wire = b"".join(encoder.encode(frame) for frame in sent)
    received = [frame for at in range(0, len(wire), size) for frame in decoder.feed(wire[at : at + size])]
    assert received == sent


def test_the_dictionary_is_the_one_of_the_specification():
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_a_bomb_of_headers_is_refused():
    with pytest.raises(SpdyError, match="longer than"):
        HeaderDecompressor().decode(HeaderCompressor().encode({"x": "a" * (MAX_BLOCK + 1)}))


@given(st.binary(max_size=60))
def test_garbage_is_a_protocol_error_and_nothing_else(data):
    decoder = frames.FrameDecoder()
    with contextlib.suppress(SpdyError):
        list(decoder.feed(b"\x80\x03\x00\x01\x00\x00\x00" + bytes([len(data)]) + data))


def test_a_frame_of_another_version_is_refused():
    with pytest.raises(SpdyError, match="version 2"):
        list(frames.FrameDecoder().feed(b"\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01"))


def test_an_unknown_control_frame_is_ignored():
    assert list(frames.FrameDecoder().feed(b"\x80\x03\x00\x63\x00\x00\x00\x01x")) == []


class Wire:
    """A pipe whose other end is the test."""

    def __init__(self):
        self.incoming = asyncio.Queue()
        self.encoder = frames.FrameEncoder()
        self.decoder = frames.FrameDecoder()
        self.outgoing = []

    async def read(self):
        return await self.incoming.get()

    async def write(self, data):
        self.outgoing.extend(self.decoder.feed(data))

    def send(self, frame):
        self.incoming.put_nowait(self.encoder.encode(frame))

    def hang_up(self):
        self.incoming.put_nowait(b"")


def with_session(check):
    async def main():
        wire = Wire()
        session = Session(wire)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(session.run())
            await check(session, wire)
            wire.hang_up()
        return wire.outgoing

    return asyncio.run(main())


def test_a_stream_carries_bytes_both_ways_and_closes_by_halves():
    async def check(session, wire):
        wire.send(frames.SynStream(stream=1, headers={"streamtype": "data", "port": "80"}))
        stream = await session.accept()
        assert stream.headers == {"streamtype": "data", "port": "80"}
        wire.send(frames.Data(stream=1, payload=b"ping"))
        wire.send(frames.Data(stream=1, payload=b"!", fin=True))
        assert [await stream.read() for _ in range(3)] == [b"ping", b"!", b""]
        await stream.write(b"pong")
        await stream.close()

    assert with_session(check) == [
        frames.SynReply(stream=1),
        frames.Data(stream=1, payload=b"pong"),
        frames.Data(stream=1, fin=True),
    ]


def test_a_ping_is_answered_with_itself():
    async def check(session, wire):
        wire.send(frames.Ping(id=7))

    assert with_session(check) == [frames.Ping(id=7)]


def test_a_reset_ends_a_stream_in_both_directions():
    async def check(session, wire):
        wire.send(frames.SynStream(stream=1))
        stream = await session.accept()
        wire.send(frames.RstStream(stream=1, status=frames.CANCEL))
        assert await stream.read() == b""
        await stream.write(b"into the void")
        assert stream.reset

    assert with_session(check) == [frames.SynReply(stream=1)]


def test_data_for_no_stream_is_answered_with_a_reset():
    async def check(session, wire):
        wire.send(frames.Data(stream=9, payload=b"x"))

    assert with_session(check) == [frames.RstStream(stream=9, status=frames.INVALID_STREAM)]


def test_a_stream_number_that_is_the_servers_or_taken_is_refused():
    async def check(session, wire):
        for number in (2, 1, 1):
            wire.send(frames.SynStream(stream=number))

    refusals = [frame.stream for frame in with_session(check) if isinstance(frame, frames.RstStream)]
    assert refusals == [2, 1]


def test_the_end_of_the_connection_ends_every_stream():
    async def check(session, wire):
        wire.send(frames.SynStream(stream=1))
        stream = await session.accept()
        wire.hang_up()
        assert await stream.read() == b""
        assert await session.accept() is None

    with_session(check)


async def turns():
    for _ in range(4 * UNREAD):
        await asyncio.sleep(0)


def test_a_stream_that_is_not_read_holds_the_connection_until_it_is_forgotten():
    async def check(session, wire):
        wire.send(frames.SynStream(stream=1))
        stream = await session.accept()
        for _ in range(UNREAD + 5):
            wire.send(frames.Data(stream=1, payload=b"x"))
        wire.send(frames.Ping(id=1))
        await turns()
        assert frames.Ping(id=1) not in wire.outgoing
        session.forget(stream)
        await turns()
        assert frames.Ping(id=1) in wire.outgoing

    with_session(check)
