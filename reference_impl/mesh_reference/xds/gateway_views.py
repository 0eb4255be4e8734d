"""What the proxies of one gateway have in common: every Service's clusters, and the listeners and routes of its Gateways. Pure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from mesh_reference.model.authorization_policies import compose
from mesh_reference.model.hosts import MESH
from mesh_reference.xds import authorization, gateway_listeners, gateway_routes
from mesh_reference.xds.gateway_routes import GatewayTargets
from mesh_reference.xds.resources import Encoded, encode
from mesh_reference.xds.route_tables import BUILD_ERRORS, RouteTable
from mesh_reference.xds.scopes import bound_to
from mesh_reference.xds.views import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mesh_reference.model.snapshot import MeshSnapshot
    from mesh_reference.model.virtual_services import VirtualService
    from mesh_reference.settings import Settings
    from mesh_reference.xds.localities import Where
    from mesh_reference.xds.scopes import Scope

logger = logging.getLogger(__name__)


class GatewayView(View):
    """Made anew with every change but those of addresses; gateways are few."""

    is_remade = True

    def __init__(
        self,
        snapshot: MeshSnapshot,
        settings: Settings,
        namespace: str,
        where: Where,
        labels: Mapping[str, str],
        ports: Mapping[int, int],
    ) -> None:
        """``ports``: where the pod listens for each port of its Services."""
        super().__init__(snapshot, settings, namespace, where)
        self._gateways = [item for item in snapshot.gateways.values() if item.selects(labels)]
        self._ports = ports
        policies = snapshot.authorization_policies.values()
        deciding = compose(policies, namespace, labels, settings.root_namespace)
        self._first = authorization.filters(deciding, settings.trust_domains)
        self._servers = gateway_listeners.by_port(self._gateways)
        self._bound = self._virtual_services(snapshot)

    def _virtual_services(self, snapshot: MeshSnapshot) -> list[VirtualService]:
        names = frozenset(item.name for item in self._gateways) - {MESH}
        return bound_to(snapshot.virtual_services.values(), self._client.namespace, names)

    def _make_targets(self, scope: Scope) -> GatewayTargets:
        return GatewayTargets(scope, self._client.labels)

    def route(self, name: str, *, splits: bool) -> Encoded | None:  # noqa: ARG002  always whole: they are few
        table = self._table(name)
        return table.whole if table is not None else None

    def virtual_hosts(self, names_of_routes: Iterable[str]) -> dict[str, Encoded]:  # noqa: ARG002
        return {}

    def virtual_host(self, resource: str) -> Encoded | None:  # noqa: ARG002
        return None

    def _table(self, name: str) -> RouteTable | None:
        if name not in self._tables:
            for number, servers in self._servers.items():
                target = gateway_listeners.target_ports(self._ports, number)
                for route, sharing in gateway_listeners.route_names(servers, target).items():
                    targets = self._make_targets(self.scope)
                    self._tables[route] = gateway_routes.table(route, sharing, self._bound, self._client, targets)
            self._note_made()
        return self._tables.get(name)

    def _make_listeners(self) -> Iterator[Encoded]:
        for number, servers in sorted(self._servers.items()):
            target = gateway_listeners.target_ports(self._ports, number)
            try:
                made = gateway_listeners.listener(
                    servers,
                    target,
                    self._bound,
                    self._client,
                    self._make_targets(self.scope),
                    self._settings,
                    self._first,
                )
            except BUILD_ERRORS as error:
                logger.error("port %d of the gateway is left out: %s", number, error)  # noqa: TRY400  the text says it
                continue
            if made is not None:
                yield encode(made.name, made)
