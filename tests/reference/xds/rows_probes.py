"""What the rows of the feature table are looked at with: the servers' answers, and requests through Envoy."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from envoy_scene import get
from memory_kube import destination_rule, virtual_service

Json = dict[str, Any]
Probe = Callable[[], Awaitable[Any]]
HITS: Counter[str] = Counter()
DB, STATIC, DNS = "10.96.0.20", "10.96.0.21", "10.96.0.22"


async def serve_http(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers ``name path host x-in``; /slow takes a second and /nap a fifth of one, /fail is 503 always, of v1 /sick, too."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            path, headers = head[0].split()[1], dict(line.split(": ", 1) for line in head[1:])
            HITS[f"{name} {path}"] += 1
            if path.startswith(("/slow", "/nap")):
                await asyncio.sleep(1 if path.startswith("/slow") else 0.2)
            bad = path.startswith("/fail") or (path.startswith("/sick") and name == "v1")
            body = f"{name} {path} {headers.get('host', '')} {headers.get('x-in', '-')}"
            status_line = "503 Bad" if bad else "200 OK"
            writer.write(f"HTTP/1.1 {status_line}\r\nx-out: app\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
            await writer.drain()
    writer.close()


async def serve_tcp(name: str, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(name.encode())
    await writer.drain()
    writer.close()


async def tcp(address: str, port: int = 5432) -> str:
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(address, port)
            found = (await reader.read(100)).decode()
            writer.close()
    except (OSError, TimeoutError):
        return "reset"
    return found or "closed"


def to(subset: str = "", weight: int = 0, host: str = "reviews") -> Json:
    return {"destination": {"host": host, **({"subset": subset} if subset else {})}, "weight": weight}


def routed(*http: Json) -> Json:
    return virtual_service("v", ["reviews"], list(http))


def rule(**policy: Any) -> Json:
    return destination_rule("d", "reviews", {"v1": {"version": "v1"}, "v2": {"version": "v2"}}, trafficPolicy=policy)


async def body(path: str = "/", **more: Any) -> str:
    return (await get(path, **more))[1]


async def code(path: str = "/", **more: Any) -> int:
    return (await get(path, **more))[0]


async def names_seen(count: int = 24, probe: Callable[[], Awaitable[str]] = body) -> list[str]:
    return sorted({(await probe()).partition(" ")[0] for _ in range(count)})


def prefix(path: str, **more: Any) -> Json:
    return {"match": [{"uri": {"prefix": path}}], "route": [to("v1")], **more}


async def hits(path: str, name: str = "v1") -> int:
    """How often one request arrives there."""
    HITS.clear()
    await code(path)
    await asyncio.sleep(0.05)
    return HITS[f"{name} {path}"]


async def overflow() -> bool:
    found = await asyncio.gather(*(get("/nap") for _ in range(6)))
    return any(item[0] == 503 and item[2].get("x-envoy-overloaded") == "true" for item in found)


async def sticky() -> int:
    """Servers that one user meets."""
    return len({(await body("/", x_user="u7")).partition(" ")[0] for _ in range(15)})


async def by_sni(name: str, address: str = DB, port: int = 443) -> str:
    """Who answers a ClientHello for that name: the servers say their names to anybody."""
    outgoing = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(outgoing.read())
            found = (await reader.read(100)).decode()
            writer.close()
    except (OSError, TimeoutError):
        return "reset"
    return found or "closed"
