"""The wire format agrees with protobuf's own runtime, and what is no message is said to be none."""

from __future__ import annotations

import struct

import pytest
from google.protobuf.descriptor_pb2 import UninterpretedOption
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.protobuf_wire import field, fields, lengths, number_field, signed

UNSIGNED = st.integers(0, (1 << 64) - 1)
SIGNED = st.integers(-(1 << 63), (1 << 63) - 1)


@given(text=st.text(), positive=UNSIGNED, negative=SIGNED, real=st.floats(allow_nan=False), data=st.binary())
def test_what_protobufs_own_runtime_writes_is_read(
    text: str, positive: int, negative: int, real: float, data: bytes
) -> None:
    message = UninterpretedOption(
        identifier_value=text,
        positive_int_value=positive,
        negative_int_value=negative,
        double_value=real,
        string_value=data,
    )

    found = dict(fields(message.SerializeToString()))

    assert (found[3], found[4], signed(int(found[5])), found[7]) == (text.encode(), positive, negative, data)
    assert struct.unpack("<d", bytes(found[6])) == (real,)


@given(text=st.text(), positive=UNSIGNED, negative=SIGNED, data=st.binary())
def test_protobufs_own_runtime_reads_what_is_written(text: str, positive: int, negative: int, data: bytes) -> None:
    written = field(3, text) + number_field(4, positive) + number_field(5, negative) + field(7, data)

    assert UninterpretedOption.FromString(written) == UninterpretedOption(
        identifier_value=text, positive_int_value=positive, negative_int_value=negative, string_value=data
    )


@given(st.binary(max_size=60))
def test_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    try:
        read = list(fields(data))
    except ValueError:
        return
    assert all(len(value) <= len(data) for _, value in lengths(data))
    assert len(read) <= len(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\x0a\x05abc", "field 1 is cut short"),
        (b"\x09\x00", "field 1 is cut short"),
        (b"\x0b", "field 1 is of wire type 3"),
        (b"\x80", "the number at byte 0 has no end"),
        (b"\x08" + b"\xff" * 11, "the number at byte 1 has no end"),
    ],
)
def test_the_fault_of_a_message_is_named(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(fields(data))
