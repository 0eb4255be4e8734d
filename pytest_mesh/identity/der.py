"""DER, as much of it as certificates need: one element at a time, read and written. Pure.

It knows no schema and decodes no value. It exists because a parser that refuses
a certificate cannot say which rule the certificate breaks.
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGER, BIT_STRING, OCTET_STRING, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x06
UTC_TIME, GENERALIZED_TIME, SEQUENCE = 0x17, 0x18, 0x30


class DerError(ValueError):
    """Bytes that are no DER element; the message says at which offset and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element: its tag byte, what is in it, and all of its bytes."""

    tag: int
    content: bytes
    raw: bytes


def read(data: bytes, offset: int = 0) -> Element:
    """Read the element at ``offset``. Raises DerError on a multi-byte tag, an indefinite, long or short length."""
    if len(data) < offset + 2:
        raise DerError(f"offset {offset}: the data end in a tag or a length")
    tag, first = data[offset], data[offset + 1]
    if tag & 0x1F == 0x1F:
        raise DerError(f"offset {offset}: a tag of several bytes")
    start, length = offset + 2, first
    if first & 0x80:
        count = first & 0x7F
        digits = data[start : start + count]
        if not 1 <= count <= 4 or len(digits) < count or digits[0] == 0:
            raise DerError(f"offset {offset}: a length that is no DER length")
        length, start = int.from_bytes(digits, "big"), start + count
        if length < 0x80:
            raise DerError(f"offset {offset}: a length that fits into fewer bytes")
    end = start + length
    if end > len(data):
        raise DerError(f"offset {offset}: {length} bytes are announced, {len(data) - start} are there")
    return Element(tag=tag, content=data[start:end], raw=data[offset:end])


def children(content: bytes) -> list[Element]:
    """Read the elements that follow one another in ``content``. Raises DerError."""
    found, offset = [], 0
    while offset < len(content):
        element = read(content, offset)
        found.append(element)
        offset += len(element.raw)
    return found


def write(tag: int, *parts: bytes) -> bytes:
    """Give one element with these parts in it."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def oid(dotted: str) -> bytes:
    """Give an OBJECT IDENTIFIER element."""
    first, second, *rest = map(int, dotted.split("."))
    out = bytearray()
    for number in (first * 40 + second, *rest):
        group = [number & 0x7F]
        while number := number >> 7:
            group.append(0x80 | number & 0x7F)
        out += bytes(reversed(group))
    return write(OBJECT_IDENTIFIER, bytes(out))
