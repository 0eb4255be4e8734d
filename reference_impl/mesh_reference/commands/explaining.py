"""One request followed through the mesh: listener, virtual host, route, VirtualService, cluster, endpoints. Pure.

It reads configuration as generated and says which line of which resource decided; it sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mesh_reference.commands.dump import Dump, chains, filters
from mesh_reference.commands.proxy_dump import of_proxy
from mesh_reference.commands.route_matching import Request, misfit, virtual_host
from mesh_reference.commands.summaries import config_of, each_endpoint, match_text
from mesh_reference.xds.route_matches import Client, applies

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.documents import Path
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.virtual_services import VirtualService

Json = dict[str, Any]

_STOP = "the request goes no further"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One decision: what decided, what it said, where that is written, and what was passed over before."""

    name: str
    text: str
    place: str = ""
    """``file:line``, or the field of the resource when it came from a cluster."""
    passed_over: tuple[str, ...] = ()

    def to_json(self) -> Json:
        return {"step": self.name, "text": self.text, "place": self.place, "passedOver": list(self.passed_over)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The steps, and how it ends: clusters by share, or a status that the proxy answers itself."""

    steps: tuple[Step, ...]
    outcome: str
    clusters: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> Json:
        shares = [{"cluster": name, "weight": weight} for name, weight in self.clusters]
        return {"outcome": self.outcome, "clusters": shares, "steps": [step.to_json() for step in self.steps]}


def explain(mesh: Mesh, proxy: Proxy, request: Request) -> Explanation:
    """Follow ``request`` from the pod of ``proxy``."""
    return _Walk(mesh, proxy, request).run()


class _Walk:
    def __init__(self, mesh: Mesh, proxy: Proxy, request: Request) -> None:
        self._mesh, self._proxy, self._request = mesh, proxy, request
        self._dump: Dump = of_proxy(mesh.configuration, proxy)
        self._steps: list[Step] = []

    def run(self) -> Explanation:
        listener = self._listener()
        if listener is None:
            return self._outside()
        manager = next((found for chain in chains(listener) for found in filters(chain, "HttpConnectionManager")), None)
        if manager is None:
            proxy = next((found for chain in chains(listener) for found in filters(chain, "TcpProxy")), {})
            self._say("listener", f"{listener['name']}: a TCP port, HTTP is not looked at")
            return self._to_clusters(_shares(proxy))
        route = str((manager.get("rds") or {}).get("route_config_name", ""))
        self._say("listener", f"{listener['name']}: HTTP, route configuration {route}")
        table = next((found for found in self._dump.routes if found.get("name") == route), {})
        found = virtual_host(table, self._request.authority)
        if found is None:
            return self._end("virtual host", f"none takes {self._request.authority}", "404 (no virtual host)")
        host, domain = found
        self._say("virtual host", f"{host['name']}: {self._request.authority} is its domain {domain}")
        return self._route(host)

    def _listener(self) -> Json | None:
        """That of the called Service's address, or the one for every address of the port."""
        by_name = {item.get("name"): item for item in self._dump.listeners}
        addresses = [*self._addresses(), "0.0.0.0"]
        found = (by_name.get(f"{address}_{self._request.port}") for address in addresses)
        return next((item for item in found if item is not None), None)

    def _addresses(self) -> tuple[str, ...]:
        scope = self._mesh.configuration.view(self._proxy).scope
        for service in scope.on_port(self._request.port):
            if self._request.host in scope.domains(service):
                return service.addresses
        return (self._request.host,)

    def _outside(self) -> Explanation:
        policy = self._mesh.configuration.settings.outbound_policy
        text = f"none for port {self._request.port}: the mesh's outbound policy is {policy}"
        if policy == "ALLOW_ANY":
            return self._end("listener", text, f"passes through to {self._request.host}:{self._request.port} as it is")
        return self._end("listener", text, "connection reset (BlackHoleCluster)")

    def _route(self, host: Mapping[str, Any]) -> Explanation:
        passed: list[str] = []
        for index, route in enumerate(host.get("routes") or ()):
            problem = misfit(route.get("match") or {}, self._request)
            source = self._source(host, route, index)
            if problem:
                passed.append(f"{source[0] or match_text(route.get('match') or {})}: {problem}")
                continue
            return self._take(route, source, tuple(passed))
        self._say("route", f"none of {len(passed)} fits", passed_over=tuple(passed))
        return self._finish(f"404 NR (no route): {_STOP}")

    def _take(self, route: Json, source: tuple[str, str], passed: tuple[str, ...]) -> Explanation:
        words, place = source
        name = route.get("name") or "default"
        text = f"{name}: {match_text(route.get('match') or {})}"
        self._say("route", f"{text}, of {words}" if words else f"{text}, the Service's own", place, passed)
        for step in _changes(route):
            self._say("route", step, place)
        if "direct_response" in route:
            return self._finish(f"{route['direct_response'].get('status', 200)}, answered by the proxy itself")
        if "redirect" in route:
            return self._finish(f"redirected: {_redirect(route['redirect'])}")
        return self._to_clusters(_shares(route.get("route") or {}))

    def _source(self, host: Mapping[str, Any], route: Json, index: int) -> tuple[str, str]:
        """(``VirtualService ns/name http[i].match[j]``, its place) of the route at ``index`` of its host."""
        named = config_of(route)
        if not named:
            return "", ""
        name, _, namespace = named.rpartition(".")
        service = self._mesh.configuration.snapshot.virtual_services.get((namespace, name))
        blocks = list(self._blocks(service)) if service is not None else []
        if index >= len(blocks) or len(host.get("routes") or ()) > len(blocks):
            return f"VirtualService {namespace}/{name}", self._place("VirtualService", namespace, name, ("spec",))
        number, match = blocks[index]
        path: Path = ("spec", "http", number)
        words = f"http[{number}]"
        if match is not None:
            path, words = (*path, "match", match), f"{words}.match[{match}]"
        place = self._place("VirtualService", namespace, name, path)
        return f"VirtualService {namespace}/{name} {words}", place

    def _blocks(self, service: VirtualService) -> Iterator[tuple[int, int | None]]:
        """(route, match) in the order in which routes are generated."""
        labels = dict(self._mesh.configuration.view_key(self._proxy).where.labels)
        client = Client(namespace=self._proxy.namespace, labels=labels)
        for number, block in enumerate(service.http):
            for match, wanted in enumerate(block.matches):
                if applies(wanted, client, self._request.port):
                    yield number, match
            if not block.matches:
                yield number, None

    def _to_clusters(self, shares: list[tuple[str, int]]) -> Explanation:
        total = sum(weight for _, weight in shares) or 1
        for name, weight in shares:
            share = f"{100 * weight / total:g}% of requests to " if len(shares) > 1 else ""
            self._cluster(name, share)
        ends = {name: self._end_of(name) for name, _ in shares}
        if len(set(ends.values())) == 1:
            outcome = next(iter(ends.values()))
        else:
            outcome = "; ".join(f"{name}: {text}" for name, text in ends.items())
        return self._finish(outcome, tuple(shares))

    def _cluster(self, name: str, share: str) -> None:
        cluster = next((item for item in self._dump.clusters if item.get("name") == name), None)
        if cluster is None:
            self._say("cluster", f"{share}{name}: does not exist")
            return
        rule, subset = config_of(cluster), name.split("|")[2] if name.count("|") == 3 else ""
        place, words = "", ""
        if rule:
            rule_name, _, namespace = rule.rpartition(".")
            path = self._subset_path(namespace, rule_name, subset)
            place = self._place("DestinationRule", namespace, rule_name, path)
            words = f", by DestinationRule {namespace}/{rule_name}" + (f" subset {subset}" if subset else "")
        balancing = cluster.get("lb_policy", "ROUND_ROBIN")
        self._say("cluster", f"{share}{name}: {balancing}{words}", place)
        servers = [f"{address} {health}" for found, address, health in each_endpoint(self._dump) if found == name]
        if cluster.get("type") == "EDS":
            self._say("endpoints", ", ".join(servers) or f"{name} has none")

    def _subset_path(self, namespace: str, name: str, subset: str) -> Path:
        raw = self._mesh.configs.get(("DestinationRule", namespace, name)) or {}
        for index, item in enumerate((raw.get("spec") or {}).get("subsets") or ()):
            if subset and item.get("name") == subset:
                return ("spec", "subsets", index)
        return ("spec",)

    def _end_of(self, name: str) -> str:
        cluster = next((item for item in self._dump.clusters if item.get("name") == name), None)
        if cluster is None:
            return "503 NC (no such cluster: the subset, port or host is not defined)"
        if cluster.get("type") != "EDS":
            return f"forwarded by {name}"
        healthy = [item for item in each_endpoint(self._dump) if item[0] == name and item[2] == "HEALTHY"]
        return "forwarded" if healthy else "503 UH (no healthy endpoint)"

    def _place(self, kind: str, namespace: str, name: str, path: Path) -> str:
        from mesh_reference.documents import render

        return self._mesh.place(kind, namespace, name, path) or f"{kind} {namespace}/{name} {render(path)}"

    def _say(self, name: str, text: str, place: str = "", passed_over: tuple[str, ...] = ()) -> None:
        self._steps.append(Step(name=name, text=text, place=place, passed_over=passed_over))

    def _end(self, name: str, text: str, outcome: str) -> Explanation:
        self._say(name, text)
        return self._finish(outcome)

    def _finish(self, outcome: str, clusters: tuple[tuple[str, int], ...] = ()) -> Explanation:
        return Explanation(steps=tuple(self._steps), outcome=outcome, clusters=clusters)


def _shares(action: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Clusters with their weights; a single one has weight 1."""
    if action.get("cluster"):
        return [(str(action["cluster"]), 1)]
    weighted = (action.get("weighted_clusters") or {}).get("clusters") or ()
    return [(str(item.get("name", "")), int(item.get("weight") or 0)) for item in weighted if item.get("weight")]


def _changes(route: Json) -> Iterator[str]:
    """What the route does to the request besides choosing where it goes."""
    action = route.get("route") or {}
    if action.get("prefix_rewrite"):
        yield f"the path's prefix becomes {action['prefix_rewrite']}"
    if action.get("regex_rewrite"):
        yield f"the path is rewritten to {action['regex_rewrite'].get('substitution', '')}"
    if action.get("host_rewrite_literal"):
        yield f"the host becomes {action['host_rewrite_literal']}"
    if action.get("timeout") not in {None, "0s"}:
        yield f"timeout {action['timeout']}"
    for mirror in action.get("request_mirror_policies") or ():
        yield f"mirrored to {mirror.get('cluster', '')}"
    for filter_name, config in (route.get("typed_per_filter_config") or {}).items():
        if filter_name.endswith("fault"):
            yield "fault injection: " + ", ".join(sorted(name for name in config if name in {"abort", "delay"}))


def _redirect(redirect: Mapping[str, Any]) -> str:
    code = redirect.get("response_code", "MOVED_PERMANENTLY")
    where = redirect.get("host_redirect", "") + (redirect.get("path_redirect") or redirect.get("prefix_rewrite") or "")
    return f"{code} to {where or 'the same place'}"
