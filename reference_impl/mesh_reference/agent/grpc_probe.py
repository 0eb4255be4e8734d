"""The gRPC health check that the injector moved here, made from an address of our choice.

gRPC for Python cannot choose a connection's source, so it speaks to a relay of this
process over a socket without a file, and the relay connects. It deliberately judges
nothing but the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator

_SERVING = b"\x08\x01"
"""grpc.health.v1.HealthCheckResponse with ``status`` 1."""
_CHUNK = 16 * 1024
_numbers = itertools.count()


async def check(address: str, port: int, service: str, source: str, seconds: float) -> str:
    """Ask ``grpc.health.v1.Health/Check``; give what is wrong, "" when it is serving. Raises OSError."""
    import grpc

    # HealthCheckRequest{service = 1}
    request = b"\x0a" + _length(service.encode()) + service.encode() if service else b""
    async with _relay(address, port, source) as name, grpc.aio.insecure_channel(f"unix-abstract:{name}") as channel:
        try:
            answer = await channel.unary_unary("/grpc.health.v1.Health/Check")(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
    return "" if answer == _SERVING else "not serving"


def _length(text: bytes) -> bytes:
    """Protobuf's variable-length number."""
    rest, out = len(text), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*out, rest))


@contextlib.asynccontextmanager
async def _relay(address: str, port: int, source: str) -> AsyncIterator[str]:
    """A socket without a file whose one connection goes on to the address; gives its name. Raises OSError."""
    there_reader, there = await asyncio.open_connection(address, port, local_addr=(source, 0))
    name = f"mesh-grpc-probe-{os.getpid()}-{next(_numbers)}"
    copying: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if copying:
            writer.close()
            return
        copying.append(asyncio.create_task(_copy(reader, there)))
        copying.append(asyncio.create_task(_copy(there_reader, writer)))

    with contextlib.closing(there):
        server = await asyncio.start_unix_server(serve, path=f"\0{name}")
        try:
            yield name
        finally:
            server.close()
            for task in copying:
                task.cancel()
            await asyncio.gather(*copying, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError), contextlib.closing(writer):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
