"""The agent's status port (15020): readiness, the application's probes, metrics, drain and quit.

It deliberately decides nothing about Envoy's life: drain and quit are calls
into the proxy's own room, handed in.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from mesh_reference.agent import bootstrap, grpc_probe, http_exchange
from mesh_reference.agent.http_exchange import Answer, Incoming

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mesh_reference.agent.environment import AgentSettings

logger = logging.getLogger(__name__)

READY_STATS = (
    r"^(server\.state|listener_manager\.workers_started"
    r"|cluster_manager\.cds\.update_success|listener_manager\.lds\.update_success)$"
)
LIVE = 0
"""server.state of an Envoy whose first configuration is whole."""
PROBE_SOURCE = "127.0.0.6"
"""Probes come from the address that the capture rules let through to the application."""


class Health:
    """Answers the status port's requests."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        certificate_trouble: Callable[[], str],
        name_trouble: Callable[[], str],
        drain: Callable[[], Awaitable[None]],
        quit_now: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._certificate_trouble = certificate_trouble
        self._name_trouble = name_trouble
        self._drain = drain
        self._quit = quit_now
        self._why_not = ""

    async def answer(self, request: Incoming) -> Answer:
        match request.path:
            case "/healthz/ready":
                return await self._ready()
            case "/stats/prometheus":
                return await self._metrics()
            case "/quitquitquit" | "/drain":
                if request.method != "POST":
                    return Answer(status=405, body=b"use POST\n")
                if not request.local:
                    return Answer(status=403, body=b"only from inside the pod\n")
                if request.path == "/drain":
                    await self._drain()
                else:
                    self._quit()
                return Answer(body=b"OK\n")
            case path if path.startswith(("/app-health/", "/app-lifecycle/")):
                return await self._application(request)
            case _:
                return Answer(status=404, body=b"no such path\n")

    async def _ready(self) -> Answer:
        reason = await self.why_not_ready()
        if reason != self._why_not:
            logger.info("not ready: %s" if reason else "ready%s", reason)
            self._why_not = reason
        return Answer(status=503, body=f"{reason}\n".encode()) if reason else Answer(body=b"ready\n")

    async def why_not_ready(self) -> str:
        """Say what is missing; empty when the proxy can take traffic."""
        if trouble := self._certificate_trouble() or self._name_trouble():
            return trouble
        try:
            answer = await http_exchange.fetch(
                "127.0.0.1", bootstrap.ADMIN_PORT, f"/stats?usedonly&filter={READY_STATS}"
            )
        except OSError as error:
            return f"Envoy's admin port does not answer: {error}"
        found = {name: int(value) for name, _, value in (x.partition(": ") for x in answer.body.decode().splitlines())}
        for name, what in (
            ("cluster_manager.cds.update_success", "clusters"),
            ("listener_manager.lds.update_success", "listeners"),
        ):
            if not found.get(name):
                return f"istiod has sent no {what} yet"
        if found.get("server.state") != LIVE:
            return "Envoy is not live yet: its first configuration is not whole"
        if not found.get("listener_manager.workers_started"):
            return "Envoy's workers have not started"
        return ""

    async def _application(self, request: Incoming) -> Answer:
        """Make the probe that the injector moved here (ISTIO_KUBE_APP_PROBERS) and pass its verdict on."""
        probe: dict[str, Any] | None = self._settings.probers.get(request.path)
        if probe is None:
            return Answer(status=404, body=b"no probe was moved to this path\n")
        seconds = float(probe.get("timeoutSeconds") or 1)
        try:
            async with asyncio.timeout(seconds):
                if "httpGet" in probe:
                    return await self._http_probe(probe["httpGet"], request, seconds)
                if "tcpSocket" in probe:
                    return await self._tcp_probe(int(probe["tcpSocket"]["port"]))
                if "grpc" in probe:
                    return await self._grpc_probe(probe["grpc"], seconds)
        except OSError as error:
            return Answer(status=500, body=f"the application does not answer: {error!r}\n".encode())
        return Answer(status=500, body=b"a probe of unknown kind; httpGet, tcpSocket and grpc are known\n")

    async def _http_probe(self, probe: dict[str, Any], request: Incoming, seconds: float) -> Answer:
        path = probe.get("path") or "/"
        asked = {str(item["name"]): str(item["value"]) for item in probe.get("httpHeaders") or ()}
        headers = {"user-agent": request.headers.get("user-agent", "kube-probe/istio"), **asked}
        answer = await http_exchange.fetch(
            self._settings.address,
            int(probe["port"]),
            path if path.startswith("/") else f"/{path}",
            headers=headers,
            seconds=seconds,
            tls=str(probe.get("scheme", "HTTP")).upper() == "HTTPS",
            source=PROBE_SOURCE,
        )
        # A redirect counts as success to the kubelet, but following it would leave this pod.
        return Answer(status=200 if 300 <= answer.status < 400 else answer.status, body=answer.body)

    async def _tcp_probe(self, port: int) -> Answer:
        _reader, writer = await asyncio.open_connection(self._settings.address, port, local_addr=(PROBE_SOURCE, 0))
        writer.close()
        return Answer()

    async def _grpc_probe(self, probe: dict[str, Any], seconds: float) -> Answer:
        status = await grpc_probe.check(
            self._settings.address, int(probe["port"]), str(probe.get("service") or ""), PROBE_SOURCE, seconds
        )
        return Answer(status=500, body=f"{status}\n".encode()) if status else Answer()

    async def _metrics(self) -> Answer:
        """Join Envoy's metrics and the application's own, where the pod named them."""
        sources = [("127.0.0.1", bootstrap.ADMIN_PORT, "/stats/prometheus", "")]
        own = self._settings.prometheus
        if str(own.get("scrape", "")).lower() == "true":
            port = int(own.get("port") or 80)
            sources.append((self._settings.address, port, own.get("path") or "/metrics", PROBE_SOURCE))
        bodies = []
        for host, port, path, source in sources:
            try:
                answer = await http_exchange.fetch(host, port, path, seconds=5.0, source=source)
            except OSError as error:
                logger.warning("no metrics from %s:%d%s: %s", host, port, path, error)
                continue
            if answer.status == 200:
                bodies.append(answer.body)
        return Answer(body=b"".join(bodies), content_type="text/plain; version=0.0.4; charset=utf-8")
