"""The control plane as one process: every room started, connected and stopped together.

It decides nothing about configuration, certificates or pods; each room does its own.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import grpc
from aiohttp import web

from mesh_reference import debug, mesh_config, tasks
from mesh_reference.ca import roots, serving
from mesh_reference.ca.authentication import Authenticator
from mesh_reference.ca.impersonation import NodeProxies
from mesh_reference.ca.server_identity import ServerIdentity
from mesh_reference.errors import ApiFailure, MeshError, NotFound
from mesh_reference.kube.leadership import Leadership
from mesh_reference.kube.resources import CONFIG_MAPS
from mesh_reference.store.mesh_store import MeshStore, Update
from mesh_reference.webhooks import bundles
from mesh_reference.webhooks import server as webhooks
from mesh_reference.xds import metrics
from mesh_reference.xds import server as ads
from mesh_reference.xds.hub import Hub

if TYPE_CHECKING:
    import ssl

    from mesh_reference.ca.succession import Succession
    from mesh_reference.kube.client import Kube
    from mesh_reference.settings import Settings

logger = logging.getLogger(__name__)

Json = dict[str, Any]

START_SECONDS = 30.0
RETRY_SECONDS = 0.1
"""While it starts, an API server that does not answer is asked again this often, for that long."""
GRPC_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
    # What proxies send is small: no ping after each of their messages to learn how large a window they could use.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # A proxy whose machine is gone is noticed within 40 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # All proxies of a large mesh may ask at once, after istiod was away; gRPC itself would drop what is beyond 1,000.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 40_000),
)
TRUSTED_NODE_ACCOUNTS = "CA_TRUSTED_NODE_ACCOUNTS"
FIXED = ("root_namespace", "trust_domain", "mesh_id", "discovery_selectors")
"""Settings that certificates, object names and watches were made with: another value needs a new process."""


@dataclass(slots=True, kw_only=True)
class Ports:
    """Where the control plane listens, as bound: what a setting of 0 became."""

    xds: int = 0
    secure: int = 0
    monitoring: int = 0
    webhook: int = 0
    http: int = 0
    certificates: int = 0
    """0 where it is closed."""


@dataclass(slots=True, kw_only=True)
class Istiod:
    """One control plane. Use ``serve``; ``ports`` and ``ready`` may be watched from other tasks of the loop."""

    kube: Kube
    settings: Settings
    environment: dict[str, str] = field(default_factory=dict)
    ports: Ports = field(default_factory=Ports)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    mesh_config: Json = field(default_factory=dict)
    hub: Hub | None = None
    store: MeshStore | None = None

    async def serve(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; returns when every stream has ended. Raises MeshError when it cannot start."""
        self.mesh_config = await _patiently(self._read_mesh_config)
        base, self.settings = self.settings, mesh_config.settings_with(self.settings, self.mesh_config)
        self._injection()  # a setting that cannot be meant must stop the start, not the first pod
        trusted_node_accounts(self.environment)
        authority = await _patiently(lambda: roots.load_or_create(self.kube, self.settings))
        self.store = MeshStore(self.kube, self.settings)
        own = ServerIdentity(authority, server_names(self.settings))
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            running = [
                group.create_task(work, name=name)
                for name, work in (
                    ("watches", self.store.watch()),
                    ("mesh config", self._follow_mesh_config(base)),
                    ("own certificate", own.follow()),
                    ("leadership", self._leadership().run(lambda: self._write_alone(authority))),
                )
            ]
            try:
                await self._open(stack, authority, own, group, running, stop)
                await stop.wait()
                logger.info("stopping")
                self.ready.clear()
                await stack.aclose()
            finally:
                for task in running:
                    task.cancel()

    def _leadership(self) -> Leadership:
        settings = self.settings
        identity = f"{settings.pod_name}_{uuid.uuid4().hex[:8]}"
        return Leadership(self.kube, settings.root_namespace, f"{settings.service_name}-leader", identity)

    async def _write_alone(self, authority: Succession) -> None:
        """What only one of several control planes may write."""
        async with asyncio.TaskGroup() as group:
            group.create_task(roots.distribute(self.kube, self.settings, authority), name="root distribution")
            group.create_task(self._maintain_bundles(authority), name="webhook bundles")

    async def _open(
        self,
        stack: AsyncExitStack,
        authority: Succession,
        own: ServerIdentity,
        group: asyncio.TaskGroup,
        running: list[asyncio.Task[None]],
        stop: asyncio.Event,
    ) -> None:
        """Bind the pages at once, for whoever asks whether it is ready; the rest with the first whole snapshot."""
        authenticator = Authenticator(self.kube, self.settings)
        settings = self.settings
        self.ports.http = await stack.enter_async_context(
            _http(debug.application(self, authenticator), settings.listen_host, settings.http_port)
        )
        self.ports.monitoring = await stack.enter_async_context(
            _http(debug.monitoring(self), settings.listen_host, settings.monitoring_port)
        )
        self.ports.webhook = await stack.enter_async_context(
            _http(
                webhooks.application(self._injection),
                settings.listen_host,
                settings.webhook_port,
                own.tls_context(),
            )
        )
        assert self.store is not None  # noqa: S101  set by the only caller
        updates = self.store.updates()
        first = await _first_of(anext(updates), stop)
        if first is None:
            return
        self.hub = Hub(first.snapshot, self.settings)
        running.append(group.create_task(self._push(updates, self.hub), name="push"))
        await self._open_grpc(stack, authority, authenticator, own)
        self.ready.set()
        logger.info("ready: %s", self.ports)

    async def _open_grpc(
        self, stack: AsyncExitStack, authority: Succession, authenticator: Authenticator, own: ServerIdentity
    ) -> None:
        assert self.hub is not None  # noqa: S101  set by the only caller
        options = (*GRPC_OPTIONS, ("grpc.max_receive_message_length", self.settings.max_request_bytes))
        plain, secure = grpc.aio.server(options=options), grpc.aio.server(options=options)
        ads.register(plain, self.hub, None)
        ads.register(secure, self.hub, authenticator)
        trusted = trusted_node_accounts(self.environment)
        nodes = NodeProxies(self.kube, trusted) if trusted else None
        servers = [plain, secure]
        for server in servers:
            serving.register(server, authority, authenticator, nodes=nodes)
        host = self.settings.listen_host
        if self.settings.certificate_port is not None:
            # A port of its own: Python's gRPC asks everybody for a certificate, or nobody.
            mutual = grpc.aio.server(options=options)
            serving.register(mutual, authority, authenticator, client_certificates=True, nodes=nodes)
            address = f"{host}:{self.settings.certificate_port}"
            self.ports.certificates = mutual.add_secure_port(address, own.grpc_credentials(client_certificates=True))
            servers.append(mutual)
        self.ports.xds = plain.add_insecure_port(f"{host}:{self.settings.xds_port}")
        self.ports.secure = secure.add_secure_port(f"{host}:{self.settings.secure_port}", own.grpc_credentials())
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop, self.settings.shutdown_grace)
        if self.hub is not None:
            stack.callback(self.hub.close)

    async def _maintain_bundles(self, authority: Succession) -> None:
        """Keep the webhooks' bundle that of the authority in force, whoever it is."""
        current = authority.current
        while True:
            maintaining = asyncio.create_task(bundles.maintain(self.kube, self.settings, current.root_pem))
            following = asyncio.create_task(authority.newer_than(current))
            try:
                await asyncio.wait({maintaining, following}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    current = following.result()
            finally:
                await tasks.end(maintaining, following)

    async def _push(self, updates: AsyncIterator[Update], hub: Hub) -> None:
        async for update in updates:
            problems = self.store.index.problems if self.store else {}
            metrics.PROBLEMS.set(sum(not item.served for found in problems.values() for item in found))
            hub.publish(update.snapshot, self.settings, update.change, update.first_event)

    def _injection(self) -> Any:
        kubelets = self.store.index.kubelets.values() if self.store else ()
        return mesh_config.injection_settings(self.settings, self.mesh_config, self.environment, kubelets)

    async def _read_mesh_config(self) -> Json:
        name = mesh_config.CONFIG_MAP + bundles.suffix(self.settings.revision)
        try:
            found = await self.kube.get(CONFIG_MAPS, name, self.settings.root_namespace)
        except NotFound:
            logger.warning("ConfigMap %s/%s is not there: defaults", self.settings.root_namespace, name)
            return {}
        return _parse(found)

    async def _follow_mesh_config(self, base: Settings) -> None:
        """Take changes of the mesh config as they come; a wrong one is logged and the last good one stays."""
        name = mesh_config.CONFIG_MAP + bundles.suffix(base.revision)
        stream = self.kube.watch(CONFIG_MAPS, base.root_namespace, field_selector=f"metadata.name={name}")
        async for event in stream:
            if event.kind == "synced" or event.object["metadata"]["name"] != name:
                continue
            if event.kind == "delete":
                logger.warning("ConfigMap %s/%s is gone: the mesh config stays as it was", base.root_namespace, name)
                continue
            try:
                found = _parse(event.object)
                wanted = mesh_config.settings_with(base, found)
            except MeshError as error:
                logger.error("the mesh config stays as it was: %s", error)  # noqa: TRY400  the text says it
                continue
            kept = {setting: getattr(self.settings, setting) for setting in FIXED}
            if kept != {setting: getattr(wanted, setting) for setting in FIXED}:
                logger.error("the mesh config changes %s: that needs a restart of istiod", " or ".join(FIXED))
            self.mesh_config = found
            wanted = replace(wanted, **kept)
            if wanted != self.settings:
                logger.info("the mesh config changed")
                self.settings = wanted
                if self.store is not None:
                    self.store.note_everything()


def trusted_node_accounts(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Accounts of node proxies, which may ask for the certificates of the pods on their node; by default none (IST-IMP).

    Raises MeshError when one of them is not ``namespace/name``.
    """
    accounts = [one.strip() for one in environment.get(TRUSTED_NODE_ACCOUNTS, "").split(",") if one.strip()]
    for account in accounts:
        if account.count("/") != 1 or "" in account.split("/"):
            raise MeshError(f"{TRUSTED_NODE_ACCOUNTS}: {account!r} is not namespace/name of a ServiceAccount")
    return tuple(accounts)


def server_names(settings: Settings) -> list[str]:
    """The names that proxies and the API server call this control plane by."""
    name, namespace = settings.service_name, settings.root_namespace
    return [f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.{settings.domain}", f"{name}.{namespace}", name]


def _parse(config_map: Json) -> Json:
    return mesh_config.parse_mesh_config((config_map.get("data") or {}).get(mesh_config.KEY) or "")


async def _patiently(ask: Callable[[], Any]) -> Any:
    """Ask again while the API server is not there; any other failure stands."""
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while True:
        try:
            return await ask()
        except ApiFailure as error:
            if 0 < error.status < 500 or asyncio.get_running_loop().time() > deadline:
                raise
            logger.warning("the API server does not answer yet: %s", error)
            await asyncio.sleep(RETRY_SECONDS)


async def _first_of(update: Any, stop: asyncio.Event) -> Update | None:
    """The first update, or None when the stop comes first."""
    waiting = asyncio.ensure_future(update)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        found: Update | None = waiting.result() if waiting.done() else None
        return found
    finally:
        await tasks.end(waiting, stopping)


@asynccontextmanager
async def _http(
    application: web.Application, host: str, port: int, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve the application; gives the port."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
