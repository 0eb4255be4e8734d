"""Which block of which VirtualService each generated route comes from: through delegates, merges and what is left out. Pure.

The generator is asked twice: once more for VirtualServices whose routes and matches are named by their numbers, which
come out where the real ones do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_pb2

from mesh_reference.errors import InvalidConfig
from mesh_reference.model.delegates import delegates_of, join
from mesh_reference.model.virtual_services import VirtualService, read_virtual_service
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.messages import config_path
from mesh_reference.xds.resources import ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from mesh_reference.documents import Path
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.snapshot import Key

Blocks = tuple["Block", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """``http[number]``, and one of its matches, of the VirtualService ``key`` (namespace, name)."""

    key: Key
    number: int
    match: int | None = None

    @property
    def path(self) -> Path:
        here: Path = ("spec", "http", self.number)
        return here if self.match is None else (*here, "match", self.match)

    @property
    def words(self) -> str:
        """``shop/reviews http[3].match[1]``."""
        match = "" if self.match is None else f".match[{self.match}]"
        return f"{'/'.join(self.key)} http[{self.number}]{match}"


class Origins:
    """For one proxy. ``configs`` holds the resources as they were written, by (kind, namespace, name)."""

    def __init__(
        self, configuration: Configuration, configs: Mapping[tuple[str, str, str], Mapping[str, Any]], proxy: Proxy
    ) -> None:
        self._proxy = proxy
        self._written = _numbered(configs, configuration.settings.domain)
        joined = {
            key: join(item, self._written) if delegates_of(item) else item
            for key, item in self._written.items()
            if key in configuration.snapshot.virtual_services
        }
        self._keys = {config_path("virtual-service", item.meta): key for key, item in joined.items()}
        snapshot = replace(configuration.snapshot, virtual_services=joined)
        self._configuration = Configuration(snapshot, configuration.settings)
        self._tables: dict[str, dict[str, list[Blocks]]] = {}

    def of(self, table: str, host: str, index: int) -> Blocks:
        """The block of the ``index``-th route of a virtual host, before it its root's block where it is a delegate's.

        Empty for a route that no VirtualService wrote.
        """
        if table not in self._tables:
            self._tables[table] = self._read(table)
        found = self._tables[table].get(host, [])
        return found[index] if index < len(found) else ()

    def _read(self, table: str) -> dict[str, list[Blocks]]:
        made = self._configuration.named(ROUTE, self._proxy, [table]).get(table)
        if made is None:
            return {}
        found = route_pb2.RouteConfiguration()
        made.body.Unpack(found)
        return {host.name: [self._blocks(route) for route in host.routes] for host in found.virtual_hosts}

    def _blocks(self, route: Any) -> Blocks:
        path = route.metadata.filter_metadata["istio"].fields["config"].string_value
        root = self._keys.get(path)
        if root is None:
            return ()
        routes, _, matches = route.name.partition(".")
        numbers, matched = _numbers(routes), _numbers(matches)
        first = self._written[root].http[numbers[0]]
        if len(numbers) == 1 or first.delegate is None:
            return (Block(key=root, number=numbers[0], match=matched[0] if matched else None),)
        own = self._written[first.delegate].http[numbers[1]]
        outer = matched[0] if first.matches and matched else None
        inner = matched[-1] if own.matches and matched else None
        return (
            Block(key=root, number=numbers[0], match=outer),
            Block(key=first.delegate, number=numbers[1], match=inner),
        )


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split("-") if part]


def _numbered(configs: Mapping[tuple[str, str, str], Mapping[str, Any]], domain: str) -> dict[Key, VirtualService]:
    out: dict[Key, VirtualService] = {}
    for (kind, namespace, name), written in configs.items():
        if kind != "VirtualService":
            continue
        try:
            found = read_virtual_service(written, domain)
        except InvalidConfig:  # not served, so nothing comes from it
            continue
        http = tuple(
            replace(
                route,
                name=str(number),
                matches=tuple(replace(match, name=str(index)) for index, match in enumerate(route.matches)),
            )
            for number, route in enumerate(found.http)
        )
        out[namespace, name] = replace(found, http=http)
    return out
