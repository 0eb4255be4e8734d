"""Probes: one attempt, and the counting that turns attempts into started, ready and alive.

:class:`Tally` is pure. httpGet and tcpSocket go from the node to the pod's
address, exec into the container. ``grpc`` is refused by ``pod_specs``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_mesh.contracts import Json

_FIRST_PAUSE: Final = 0.04
_GROWTH: Final = 1.5


@dataclass(slots=True)
class Tally:
    """Counts consecutive results until a threshold is reached."""

    success_threshold: int
    failure_threshold: int
    successes: int = 0
    failures: int = 0

    def add(self, *, success: bool) -> bool | None:
        """Take one result; True or False once the threshold of its kind is reached, else None."""
        if success:
            self.successes += 1
            self.failures = 0
            return True if self.successes >= self.success_threshold else None
        self.failures += 1
        self.successes = 0
        return False if self.failures >= self.failure_threshold else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """A probe's numbers, with the API's defaults."""

    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int

    @classmethod
    def of(cls, probe: Json) -> Timing:
        """Read them from the probe; absent and 0 both mean the default."""
        return cls(
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
        )

    def tally(self) -> Tally:
        """Give a fresh count."""
        return Tally(self.success_threshold, self.failure_threshold)


class Prober:
    """Makes attempts; one for the whole node."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=False, force_close=True, limit=0),
            auto_decompress=False,
            headers={"User-Agent": "kube-probe/1.34", "Accept": "*/*"},
            skip_auto_headers=["Accept-Encoding"],
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def attempt(
        self,
        probe: Json,
        container: Json,
        address: str,
        execute: Callable[[tuple[str, ...], float], Awaitable[tuple[int, str]]],
    ) -> str:
        """Make one attempt; empty when it succeeded, else what a kubelet says in its event."""
        timeout = Timing.of(probe).timeout
        if "exec" in probe:
            try:
                code, output = await execute(tuple(probe["exec"]["command"]), timeout)
            except TimeoutError:
                return f"command timed out after {timeout:.0f}s"
            return "" if code == 0 else output.strip() or f"command ended with code {code}"
        if "tcpSocket" in probe:
            return await self._tcp(probe["tcpSocket"], container, address, timeout)
        return await self.http_get(probe["httpGet"], container, address, timeout)

    async def http_get(self, action: Json, container: Json, address: str, timeout: float) -> str:  # noqa: ASYNC109  # it is part of the verdict
        """Send a probe's (or a hook's) GET; empty on 200 to 399."""
        if self._session is None:
            raise RuntimeError("Prober is not open: use it with `async with`")
        try:
            url = http_url(action, container, address)
        except ValueError as error:
            return str(error)
        headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or ()}
        try:
            async with self._session.get(
                url, headers=headers, timeout=aiohttp.ClientTimeout(total=timeout), allow_redirects=False
            ) as response:
                if 200 <= response.status < 400:
                    return ""
                return f"HTTP probe failed with statuscode: {response.status}"
        except TimeoutError:
            return f'Get "{url}": context deadline exceeded'
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f'Get "{url}": {error}'

    async def _tcp(self, action: Json, container: Json, address: str, timeout: float) -> str:  # noqa: ASYNC109
        host, port = action.get("host") or address, 0
        try:
            port = port_number(action["port"], container)
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return f"dial tcp {host}:{port}: i/o timeout"
        except (OSError, ValueError) as error:
            return f"dial tcp {host}:{port}: {error}"
        writer.close()
        return ""


def http_url(action: Json, container: Json, address: str) -> str:
    """Give the URL of an httpGet action; ValueError for a port name that the container lacks."""
    scheme = action.get("scheme", "HTTP").lower()
    path = (action.get("path") or "/").removeprefix("/")
    return f"{scheme}://{action.get('host') or address}:{port_number(action['port'], container)}/{path}"


def port_number(port: Any, container: Json) -> int:
    """Resolve a named container port; ValueError when the container has none of that name."""
    if isinstance(port, int) or str(port).isdigit():
        return int(port)
    for entry in container.get("ports") or ():
        if entry.get("name") == port:
            return int(entry["containerPort"])
    raise ValueError(f"container {container['name']!r} has no port named {port!r}")


async def watch(
    probe: Json,
    attempt: Callable[[], Awaitable[str]],
    decided: Callable[[bool, str], bool],
    *,
    eager: bool,
) -> None:
    """Attempt for ever by the probe's timing and report each decision; ends when ``decided`` says True.

    With ``eager``, attempts before the first success come sooner than the
    period (a pod is Ready milliseconds after it is, not at the next full
    second), yet failures are counted no faster than once per period.
    """
    timing = Timing.of(probe)
    tally = timing.tally()
    loop = asyncio.get_running_loop()
    await asyncio.sleep(timing.initial_delay)
    pause = _FIRST_PAUSE if eager else timing.period
    # Starting a process costs far more than a connection.
    floor = 0.25 if "exec" in probe else 0.0
    next_count = loop.time()
    while True:
        message = await attempt()
        now = loop.time()
        success = not message
        if success or not eager or now >= next_count:
            next_count = now + timing.period
            decision = tally.add(success=success)
            if decision is not None and decided(decision, message):
                return
        if success:
            eager, pause = False, timing.period
        elif eager:
            pause = min(max(pause * _GROWTH, floor), timing.period)
        await asyncio.sleep(min(pause, timing.period))
