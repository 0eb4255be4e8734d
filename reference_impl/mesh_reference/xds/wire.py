"""Protobuf's wire format where a response is put together from parts that are serialized already.

A response that a thousand proxies get differs in its nonce alone: the resources in it are written once, here they are
strung together. Field numbers are those of ``envoy.service.discovery.v3``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_SINGLE = tuple(bytes([number]) for number in range(0x80))


def varint(number: int) -> bytes:
    """A non-negative number, seven bits a byte, the lowest first."""
    if number <= 0x7F:
        return _SINGLE[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def piece(field: int, value: bytes) -> bytes:
    """A field of text, bytes or a message."""
    return b"".join((varint(field << 3 | 2), varint(len(value)), value))


def text(field: int, value: str) -> bytes:
    """A field of text; empty text is left out, as protobuf does."""
    return piece(field, value.encode()) if value else b""


@lru_cache(maxsize=64)
def repeated_text(field: int, value: str) -> bytes:
    """The same for what every response of a push has: its type and version."""
    return text(field, value)


def any_head(type_url: str, size: int) -> bytes:
    """A ``google.protobuf.Any`` up to its value of ``size`` bytes."""
    return text(1, type_url) + (b"\x12" + varint(size) if size else b"")


def resource_head(name: str, version: str, type_url: str, size: int) -> bytes:
    """A delta ``Resource`` up to the value inside its Any."""
    inner = any_head(type_url, size)
    return text(1, version) + text(3, name) + b"\x12" + varint(len(inner) + size) + inner


def delta_response(
    version: str, resources: Iterable[tuple[bytes, bytes]], type_url: str, nonce: str, removed: Iterable[str]
) -> bytes:
    """A ``DeltaDiscoveryResponse``; each resource as (head, value)."""
    out = [repeated_text(1, version)]
    for head, value in resources:
        out += (b"\x12", varint(len(head) + len(value)), head, value)
    out += (repeated_text(4, type_url), text(5, nonce))
    out += [piece(6, name.encode()) for name in removed]
    return b"".join(out)


def state_response(version: str, values: Iterable[bytes], type_url: str, nonce: str) -> bytes:
    """A ``DiscoveryResponse``; every resource is of the type of the whole."""
    out = [repeated_text(1, version)]
    for value in values:
        head = any_head(type_url, len(value))
        out += (b"\x12", varint(len(head) + len(value)), head, value)
    out += (repeated_text(4, type_url), text(5, nonce))
    return b"".join(out)
