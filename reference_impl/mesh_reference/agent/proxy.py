"""The agent's life: sockets first, then Envoy and the certificate at the same time, until SIGTERM.

It deliberately holds no logic of its rooms; it starts them, joins them, and
ends them in the right order.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from typing import TYPE_CHECKING

import grpc

from mesh_reference.agent import bootstrap, envoy, http_exchange
from mesh_reference.agent.ads_proxy import AdsProxy
from mesh_reference.agent.environment import AgentError
from mesh_reference.agent.health import Health
from mesh_reference.agent.mounted_certificates import Files, MountedCertificates
from mesh_reference.agent.sds import SecretDiscovery
from mesh_reference.agent.upstream import OPTIONS, Upstream
from mesh_reference.agent.workload_certificates import CertificateClient, WorkloadCertificates

if TYPE_CHECKING:
    from pathlib import Path

    from mesh_reference.agent.environment import AgentSettings
    from mesh_reference.agent.held_certificate import HeldCertificate
    from mesh_reference.agent.name_server import NameServer

logger = logging.getLogger(__name__)


async def run(settings: AgentSettings, launch: envoy.Launch) -> None:
    """Run the sidecar until SIGTERM, SIGINT or ``/quitquitquit``. Raises AgentError when it cannot start."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)

    upstream = Upstream(settings)
    certificates = _certificates(upstream, settings)
    names = _name_server(settings) if settings.answers_names else None
    child = envoy.Envoy(launch)
    health = Health(
        settings,
        certificate_trouble=certificates.why_not_ready,
        name_trouble=names.why_not_ready if names else lambda: "",
        drain=child.drain,
        quit_now=end.set,
    )
    launch.configuration.write_text(json.dumps(bootstrap.bootstrap(settings)))
    sds = await _unix_server(_clear(settings.paths.sds_socket), SecretDiscovery(certificates))
    ads = await _unix_server(
        _clear(settings.paths.xds_socket), AdsProxy(upstream, settings, names.take if names else None)
    )
    try:
        status = http_exchange.serve(settings.status_host, settings.status_port, health.answer)
        async with status, names.serve() if names else contextlib.nullcontext(), asyncio.TaskGroup() as tasks:
            renewing = tasks.create_task(certificates.run())
            running = tasks.create_task(child.run())
            logger.info("%s: Envoy %s, istiod %s", settings.spiffe_id, launch.binary, settings.xds_address)
            await end.wait()
            logger.info("stopping: draining Envoy")
            await child.stop()
            renewing.cancel()
            running.cancel()
    finally:
        await asyncio.gather(sds.stop(0), ads.stop(0))


def _certificates(upstream: Upstream, settings: AgentSettings) -> HeldCertificate:
    """Choose where certificates come from: mounted files where they are wanted or there, else istiod."""
    credentials = Files(directory=settings.paths.workload_credentials)
    if settings.file_mounted or credentials.present():
        files = Files(directory=settings.paths.mounted_certificates) if settings.file_mounted else credentials
        logger.info("certificates come from files in %s", files.directory)
        return MountedCertificates(files)
    return WorkloadCertificates(CertificateClient(upstream, settings), settings)


def _name_server(settings: AgentSettings) -> NameServer:
    """Made for a pod that asks for it alone: others need not pay for the import."""
    from mesh_reference.agent.name_lookup import Place, read_resolver
    from mesh_reference.agent.name_server import NameServer

    path = settings.paths.resolver
    try:
        servers, search = read_resolver(path.read_text())
    except OSError as error:
        raise AgentError(f"{path} cannot be read ({error.strerror}): whom to ask for other names?") from error
    return NameServer(Place(namespace=settings.namespace, domain=f"svc.{settings.domain}", search=search), servers)


def _clear(socket: Path) -> Path:
    """Make way for a socket: a restarted container finds its predecessor's in the shared volume."""
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.unlink(missing_ok=True)
    return socket


async def _unix_server(socket: Path, service: SecretDiscovery | AdsProxy) -> grpc.aio.Server:
    server = grpc.aio.server(options=OPTIONS)
    service.register(server)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    # Envoy runs as the agent does; another container of the pod that mounts the volume has no business here.
    os.chmod(socket, 0o600)  # noqa: PTH101 - pathlib's is held to be slow in async code
    return server
