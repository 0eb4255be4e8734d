"""The wire format of protobuf messages: numbered fields from and to bytes. Pure, and of the standard library alone.

For messages whose classes are nowhere installed: a pod's, whose interpreter has no
site packages, and Kubernetes' and gnostic's, which publish none for Python. It knows no
message; what a number means is its caller's.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types (protobuf.dev, "Message Structure"); groups are not read."""
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give number and value of each field in order: an int of a varint (unsigned), bytes of anything else.

    Raises ValueError where the bytes are no message.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _read_varint(message, at)
        kind = tag & 7
        if kind == VARINT:
            value, at = _read_varint(message, at)
            yield tag >> 3, value
            continue
        if kind == LENGTH:
            width, at = _read_varint(message, at)
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise ValueError(f"malformed protobuf: field {tag >> 3} is of wire type {kind}")
        if at + width > end:
            raise ValueError(f"malformed protobuf: field {tag >> 3} is cut short")
        yield tag >> 3, message[at : at + width]
        at += width


def lengths(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Give number and content of each field that is text, bytes or a message; pass numbers over."""
    return ((number, value) for number, value in fields(message) if isinstance(value, bytes))


def field(number: int, content: bytes | str) -> bytes:
    """Give a field that holds text, bytes or a message."""
    data = content.encode() if isinstance(content, str) else content
    return _varint(number << 3 | LENGTH) + _varint(len(data)) + data


def number_field(number: int, value: int) -> bytes:
    """Give a field that holds an int64, uint64, bool or enum; -2^63 to 2^64 - 1."""
    return _varint(number << 3 | VARINT) + _varint(value & (1 << 64) - 1)


def signed(value: int) -> int:
    """Read the value of a varint as an int64."""
    return value - (1 << 64) if value >= 1 << 63 else value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & (1 << 64) - 1, at + place + 1
    raise ValueError(f"malformed protobuf: the number at byte {at} has no end")
