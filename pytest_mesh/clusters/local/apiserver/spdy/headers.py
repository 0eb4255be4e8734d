"""The header blocks of SPDY/3.1: names and values, compressed with one zlib context per direction.

It does not bound how many streams there are; one block is bounded.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BLOCK = 1 << 20
"""Bytes of a decompressed block; a longer one is an attack or an error."""

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status|200 OK|version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)

_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _words() -> list[str]:
    before, status, after = _WORDS.split("|")
    return [*before.split(), status, *after.split()]


DICTIONARY = b"".join(struct.pack(">I", len(word)) + word.encode("ascii") for word in _words()) + _TAIL.encode("ascii")
"""The zlib dictionary of the SPDY/3 specification."""


class SpdyError(Exception):
    """The peer broke the protocol; the connection cannot go on."""


class HeaderCompressor:
    """Encodes the header blocks of one direction, in order."""

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, headers: Mapping[str, str]) -> bytes:
        block = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode("ascii"), value.encode("utf-8")):
                block += [struct.pack(">I", len(text)), text]
        return self._zlib.compress(b"".join(block)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    """Decodes the header blocks of one direction, in order."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zdict=DICTIONARY)

    def decode(self, data: bytes) -> dict[str, str]:
        """Give the headers by lower-case name; several values of one are joined by NUL. Raises SpdyError."""
        try:
            block = self._zlib.decompress(data, MAX_BLOCK)
        except zlib.error as error:
            raise SpdyError(f"header block is not zlib data: {error}") from error
        if self._zlib.unconsumed_tail:
            raise SpdyError(f"header block is longer than {MAX_BLOCK} bytes")
        try:
            return _parse(block)
        except (struct.error, UnicodeDecodeError) as error:
            raise SpdyError(f"header block cannot be read: {error}") from error


def _parse(block: bytes) -> dict[str, str]:
    (count,) = struct.unpack_from(">I", block, 0)
    offset = 4
    texts: list[str] = []
    for _ in range(2 * count):
        (length,) = struct.unpack_from(">I", block, offset)
        offset += 4
        if offset + length > len(block):
            raise SpdyError("header block ends within a header")
        texts.append(block[offset : offset + length].decode("utf-8"))
        offset += length
    return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}
