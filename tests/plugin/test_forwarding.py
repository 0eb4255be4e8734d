"""The frames of a port-forward become one HTTP response, however they are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.kube import _forwarded_answer

PORT = b"\x98\x3a"
OPENING = [b"\x00" + PORT, b"\x01" + PORT]


class Frames:
    def __init__(self, *frames: bytes) -> None:
        self._frames = [*OPENING, *frames, b""]

    def recv(self) -> bytes:
        return self._frames.pop(0)


@given(st.sets(st.integers(1, 60)), st.booleans())
def test_an_answer_is_whole_however_it_is_cut(cuts, counted):
    length = b"content-length: 5\r\n" if counted else b""
    wire = b"HTTP/1.1 200 OK\r\n" + length + b"x: y\r\n\r\nhello"
    places = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    pieces = [wire[start:end] for start, end in itertools.pairwise(places)]

    answer = _forwarded_answer(Frames(*(b"\x00" + piece for piece in pieces)))

    assert (answer.start, answer.body) == ("HTTP/1.1 200 OK", b"hello")


def test_what_the_error_channel_says_is_raised():
    with pytest.raises(ConnectionError, match="connection refused"):
        _forwarded_answer(Frames(b"\x01connection refused"))


def test_an_end_before_the_answer_is_an_error():
    with pytest.raises(ConnectionError, match="before an answer was complete"):
        _forwarded_answer(Frames(b"\x00HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe"))
