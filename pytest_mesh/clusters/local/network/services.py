"""The Service proxy: keeps the rules of the node's network namespace equal to the Services and their endpoints.

Runs inside the node's namespace and refuses to run anywhere else. The rules themselves are made in ``service_rules``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, key_of
from pytest_mesh.clusters.local.controllers.cache import Informer
from pytest_mesh.clusters.local.network import service_rules
from pytest_mesh.clusters.local.network.netlink import Netlink, write_settings
from pytest_mesh.clusters.local.network.pods import NODE_ADDRESS, NODE_INTERFACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mesh.clusters.local.controllers.cache import Key
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_SERVICE_NAME = "kubernetes.io/service-name"
_COMMANDS = ("iptables-restore", "iptables-nft-restore", "iptables-legacy-restore")
_SEARCH_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_QUIET_SECONDS = 0.2
"""Stale rules are swept out when nothing has changed for so long ..."""
_MOST_STALE = 100
"""... or when there are more of them than this."""


class RulesError(RuntimeError):
    """iptables-restore cannot be run, or refused the rules; the message ends with what it said."""


async def run(client: ApiClient, address: str = NODE_ADDRESS) -> None:
    """Proxy Services for ever; RulesError when this is not the node's namespace or no iptables works."""
    services = Informer(client, "/api/v1/services")
    slices = Informer(client, "/apis/discovery.k8s.io/v1/endpointslices")
    rules = Rules()
    keeper = ServiceKeeper(rules, services=services, slices=slices)
    _require_node(address)
    _prepare(address)
    async with asyncio.TaskGroup() as group:
        for informer in (services, slices):
            group.create_task(informer.run(), name=f"proxy watch {informer.path}")
        for informer in (services, slices):
            await informer.synced.wait()
        await keeper.run()


class ServiceKeeper:
    """Follows Services and EndpointSlices and applies each new state, the changes of one moment together."""

    def __init__(self, rules: Rules, *, services: Informer, slices: Informer) -> None:
        self._rules = rules
        self._services = services
        self._slices = slices
        self._routes: dict[Key, service_rules.Routes] = {}
        self._changed = asyncio.Event()
        self._told: set[tuple[str, str]] = set()
        services.subscribe(self._service_changed)
        slices.subscribe(self._slice_changed)

    async def run(self) -> None:
        """Apply for ever."""
        self._changed.set()
        while True:
            await self._changed_or_quiet()
            if not self._changed.is_set() or self._rules.stale > _MOST_STALE:
                await self._rules.sweep()
            if self._changed.is_set():
                self._changed.clear()
                await self._rules.apply({match: to for routes in self._routes.values() for match, to in routes.items()})

    async def _changed_or_quiet(self) -> None:
        """Wait for a change; when there is something to sweep out, only so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_QUIET_SECONDS if self._rules.stale else None):
                await self._changed.wait()

    def _service_changed(self, old: Json | None, new: Json | None) -> None:
        key = key_of(new or old or {})
        if new is not None:
            for problem in service_rules.unsupported(new):
                if (new["metadata"]["uid"], problem) not in self._told:
                    self._told.add((new["metadata"]["uid"], problem))
                    log.warning("service %s/%s: not supported by the embedded cluster: %s", *key, problem)
        self._refresh(key)

    def _slice_changed(self, old: Json | None, new: Json | None) -> None:
        for item in (old, new):
            name = (item["metadata"].get("labels") or {}).get(_SERVICE_NAME) if item is not None else None
            if item is not None and name:
                self._refresh((item["metadata"]["namespace"], name))

    def _refresh(self, key: Key) -> None:
        service = self._services.get(key)
        routes: service_rules.Routes = {}
        if service is not None:
            slices = [
                item
                for item in self._slices.within(key[0])
                if (item["metadata"].get("labels") or {}).get(_SERVICE_NAME) == key[1]
            ]
            routes = service_rules.routes_of(service, slices)
        if self._routes.get(key, {}) != routes:
            self._routes[key] = routes
            if not routes:
                del self._routes[key]
            self._changed.set()


class Rules:
    """The rules as they stand in this network namespace."""

    def __init__(self) -> None:
        self._command = ""
        self._applied = service_rules.Applied()

    @property
    def stale(self) -> int:
        """How many jumps are there that nothing needs any more."""
        return len(self._applied.stale)

    async def apply(self, routes: service_rules.Routes) -> None:
        """Put ``routes`` in force: by insertions when that works, else by writing all anew."""
        if not self._command:
            await self._write_all(routes)
            return
        text, after = service_rules.change(self._applied, routes)
        await self._take(text, after)

    async def sweep(self) -> None:
        """Delete what is not in force any more."""
        text, after = service_rules.sweep(self._applied)
        await self._take(text, after)

    async def _take(self, text: str, after: service_rules.Applied) -> None:
        if text:
            error = await _restore([self._command, "--noflush"], text)
            if error:
                log.warning("services: a change was refused, writing all rules anew: %s", error)
                await self._write_all(after.routes)
                return
        self._applied = after

    async def _write_all(self, routes: service_rules.Routes) -> None:
        text, after = service_rules.whole(routes, self._applied.generation)
        said = []
        for command in [self._command] if self._command else _COMMANDS:
            found = shutil.which(command, path=_SEARCH_PATH)
            if found is None:
                said.append(f"{command}: not installed")
                continue
            error = await _restore([found], text)
            if not error:
                self._command = found
                self._applied = after
                return
            said.append(f"{command}: {error}")
        raise RulesError(f"services: no iptables takes the rules ({'; '.join(said)}); run `pytest-mesh doctor`")


async def _restore(argv: Sequence[str], text: str) -> str:
    """Run iptables-restore; give what it complained of, empty when it worked."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        "-w",
        "5",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(text.encode())
    if process.returncode == 0:
        return ""
    return output.decode(errors="replace").strip() or f"exit code {process.returncode}"


def _prepare(address: str) -> None:
    """Turn forwarding on, and give Services a route, so that the node's own connections to them get as far as DNAT."""
    write_settings([("net/ipv4/ip_forward", "1")])
    with Netlink() as netlink, contextlib.suppress(FileExistsError):
        netlink.add_route(NODE_INTERFACE, service_rules.SERVICE_RANGE, source=address)


def _require_node(address: str) -> None:
    """Fail unless the node's address is this namespace's own: the host's rules are never touched."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise RulesError(
                f"services: {address} is not an address here, so this is not the node's network namespace: {error}"
            ) from error
