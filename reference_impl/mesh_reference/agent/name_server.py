"""The agent's DNS server: answers the application's questions for names of the mesh, and hands all others on.

By UDP and TCP on 127.0.0.1:15053, where the capture rules send port 53. It deliberately keeps no answers of other
servers: what they say goes back as it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import struct
from typing import TYPE_CHECKING, Any

from dnslib import AAAA, CLASS, CNAME, EDNS0, QTYPE, RCODE, RR, A, DNSError, DNSRecord
from google.protobuf.message import DecodeError

from mesh_reference.agent import connections
from mesh_reference.agent.name_lookup import Lookup, Place, addresses_of
from mesh_reference.name_table import NameTable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

logger = logging.getLogger(__name__)

ADDRESS, PORT = "127.0.0.1", 15053
TTL_SECONDS = 30
UPSTREAM_SECONDS = 5.0
"""For each of the pod's DNS servers."""
IDLE_SECONDS = 30.0
"""A TCP connection whose next question, or whose taking of an answer, lasts longer is closed."""
MAX_OPEN = 1024
"""Questions by UDP that may wait for an answer; what comes beyond that is dropped, as a full socket would."""
PLAIN_LIMIT = 512
"""Bytes of an answer by UDP to a resolver that names no other limit."""
_MALFORMED = (DNSError, ValueError, LookupError, struct.error)
_VERSIONS = {QTYPE.A: 4, QTYPE.AAAA: 6}


class NameServer:
    """Give it name tables as they come; it answers from the newest."""

    def __init__(self, place: Place, servers: Sequence[str], upstream_port: int = 53) -> None:
        """``servers``: addresses of the pod's own DNS servers."""
        self._place = place
        self._servers = [*servers]
        self._upstream_port = upstream_port
        self._lookup: Lookup | None = None

    def take(self, table: bytes) -> None:
        """A NameTable's bytes; ValueError when they are none."""
        try:
            read = NameTable.FromString(table)
        except DecodeError as error:
            raise ValueError(f"not a NameTable: {error}") from error
        self._lookup = Lookup(read, self._place)
        logger.info("names: %d in the table", len(read.table))

    def why_not_ready(self) -> str:
        """Empty once there is a table to answer from."""
        return "" if self._lookup is not None else "istiod has sent no names yet"

    @contextlib.asynccontextmanager
    async def serve(self, host: str = ADDRESS, port: int = PORT) -> AsyncIterator[int]:
        """Answer while the context lasts; gives the port."""
        loop = asyncio.get_running_loop()
        async with connections.listening(self._by_stream, host, port) as server:
            port = server.sockets[0].getsockname()[1]
            datagrams = _Datagrams(self._by_datagram)
            transport, _ = await loop.create_datagram_endpoint(lambda: datagrams, local_addr=(host, port))
            try:
                yield port
            finally:
                transport.close()
                await datagrams.end()

    async def _by_datagram(self, data: bytes) -> bytes | None:
        question = _parsed(data)
        if question is None:
            return None
        answer = self._own_answer(question)
        if answer is None:
            return await self._ask(data, self._by_udp) or _failure(question)
        packed: bytes = answer.pack()
        return packed if len(packed) <= _limit(question) else bytes(answer.truncate().pack())

    async def _by_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The questions of one TCP connection, each with two bytes of length before it."""
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    data = await _framed(reader)
                question = _parsed(data)
                if question is None:
                    return
                answer = self._own_answer(question)
                packed = await self._ask(data, self._by_tcp) or _failure(question) if answer is None else answer.pack()
                writer.write(len(packed).to_bytes(2, "big") + packed)
                async with asyncio.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return

    def _own_answer(self, question: DNSRecord) -> DNSRecord | None:
        """What the mesh says; None when others have to be asked."""
        if self._lookup is None or not question.questions:
            out = question.reply()
            out.header.rcode = RCODE.SERVFAIL
            return out
        asked = question.q
        found = self._lookup.find(str(asked.qname).rstrip(".").lower())
        version = _VERSIONS.get(asked.qtype)
        if found is None or version is None or asked.qclass != CLASS.IN or question.header.opcode:
            return None
        out = question.reply()
        addresses = addresses_of(found, version)
        if addresses and found.alias:
            out.add_answer(RR(asked.qname, QTYPE.CNAME, ttl=TTL_SECONDS, rdata=CNAME(found.alias)))
        random.shuffle(addresses)
        kind = A if version == 4 else AAAA
        for address in addresses:
            out.add_answer(RR(found.alias or asked.qname, asked.qtype, ttl=TTL_SECONDS, rdata=kind(address)))
        if any(item.rtype == QTYPE.OPT for item in question.ar):
            out.add_ar(EDNS0(udp_len=4096))
        return out

    async def _ask(self, data: bytes, way: Callable[[str, bytes], Awaitable[bytes]]) -> bytes | None:
        """The first answer of one of the pod's DNS servers, in an order of chance; None when none answers."""
        for server in random.sample(self._servers, len(self._servers)):
            try:
                async with asyncio.timeout(UPSTREAM_SECONDS):
                    return await way(server, data)
            except (OSError, asyncio.IncompleteReadError) as error:
                logger.info("names: %s does not answer: %s", server, error or type(error).__name__)
        return None

    async def _by_udp(self, server: str, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Answer(answer, data[:2]), remote_addr=(server, self._upstream_port)
        )
        try:
            transport.sendto(data)
            return await answer
        finally:
            transport.close()

    async def _by_tcp(self, server: str, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._upstream_port)
        try:
            writer.write(len(data).to_bytes(2, "big") + data)
            return await _framed(reader)
        finally:
            writer.close()


class _Answer(asyncio.DatagramProtocol):
    """Waits for the datagram that carries the question's id."""

    def __init__(self, answer: asyncio.Future[bytes], identity: bytes) -> None:
        self._answer = answer
        self._identity = identity

    def datagram_received(self, data: bytes, _peer: tuple[str | Any, int]) -> None:
        if data[:2] == self._identity and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


class _Datagrams(asyncio.DatagramProtocol):
    """One task for each question."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes | None]]) -> None:
        self._answer = answer
        self._open: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # of a datagram endpoint

    def datagram_received(self, data: bytes, peer: tuple[str | Any, int]) -> None:
        if len(self._open) < MAX_OPEN:
            task = asyncio.get_running_loop().create_task(self._reply(data, peer))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _reply(self, data: bytes, peer: tuple[str | Any, int]) -> None:
        packed = await self._answer(data)
        if packed is not None and self._transport is not None:
            self._transport.sendto(packed, peer)

    async def end(self) -> None:
        """Leave the questions that are open without an answer."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)


async def _framed(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def _parsed(data: bytes) -> DNSRecord | None:
    """The question, or None for what is none: nobody waits for an answer to that."""
    try:
        read = DNSRecord.parse(data)
    except _MALFORMED as error:
        logger.debug("names: not a DNS message: %s", error)
        return None
    return None if read.header.qr else read


def _failure(question: DNSRecord) -> bytes:
    out = question.reply()
    out.header.rcode = RCODE.SERVFAIL
    return bytes(out.pack())


def _limit(question: DNSRecord) -> int:
    sizes = [int(item.edns_len) for item in question.ar if item.rtype == QTYPE.OPT]
    return max([PLAIN_LIMIT, *sizes])
