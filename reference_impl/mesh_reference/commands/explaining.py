"""One request followed through the mesh: listener, virtual host, route, VirtualService, cluster, endpoints. Pure.

It reads configuration as generated and says which line of which resource decided; it sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mesh_reference.commands import chain_matching, route_effects
from mesh_reference.commands.dump import filters
from mesh_reference.commands.explanation import Answer, Explanation, Step
from mesh_reference.commands.proxy_dump import of_proxy
from mesh_reference.commands.route_matching import Request, conditions, misfit, normalized, virtual_host
from mesh_reference.commands.route_origins import Blocks, Origins
from mesh_reference.commands.server_side import ServerSide, as_sent
from mesh_reference.commands.summaries import config_of, each_endpoint, entries_of
from mesh_reference.xds.targets import ClientTargets

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.documents import Path
    from mesh_reference.model.proxies import Proxy

Json = dict[str, Any]

_TOLD = {
    "NR": "404 NR (no route): the request goes no further",
    "NC": "503 NC (no such cluster: the subset, port or host is not defined)",
    "UH": "503 UH (no healthy endpoint)",
    "FI": "injected by fault.abort",
    "RBAC": "403, refused by the server's AuthorizationPolicy",
    "UC": "the server's proxy closes the connection (503 UC for HTTP)",
}


class Explainer:
    """Explains requests of one proxy. Its configuration is generated once, so the second request costs little."""

    def __init__(self, mesh: Mesh, proxy: Proxy) -> None:
        self.mesh, self.proxy = mesh, proxy
        self.dump = of_proxy(mesh.configuration, proxy)
        self.origins = Origins(mesh.configuration, mesh.configs, proxy)
        self.listeners = {str(item.get("name")): item for item in self.dump.listeners}
        self.tables = {str(item.get("name")): item for item in self.dump.routes}
        self.clusters = {str(item.get("name")): item for item in self.dump.clusters}
        self.servers_say = ServerSide(mesh, proxy)
        self.entries = entries_of(self.dump)
        self.servers: dict[str, list[tuple[str, str]]] = {}
        for cluster, address, health in each_endpoint(self.dump):
            self.servers.setdefault(cluster, []).append((address, health))

    def explain(self, request: Request) -> Explanation:
        """Follow the request from the proxy's pod, or from outside through a gateway."""
        return _Walk(self, normalized(request)).run()


def explain(mesh: Mesh, proxy: Proxy, request: Request) -> Explanation:
    """Follow one ``request`` from the pod of ``proxy``."""
    return Explainer(mesh, proxy).explain(request)


class _Walk:
    def __init__(self, known: Explainer, request: Request) -> None:
        self._known, self._request = known, request
        self._mesh, self._proxy = known.mesh, known.proxy
        self._steps: list[Step] = []

    def run(self) -> Explanation:
        self._limits()
        listener = self._listener()
        if listener is None:
            return self._outside()
        chain = chain_matching.outbound(listener, self._request)
        manager = next(filters(chain, "HttpConnectionManager"), None) if chain else None
        if manager is None:
            proxy = next(filters(chain, "TcpProxy"), {}) if chain else {}
            what = "TLS of the client's own" if self._request.scheme == "https" else "a TCP port"
            if not proxy:
                text = f"{listener['name']}: no filter chain for {what}"
                return self._end("listener", text, "connection reset", Answer(flag="BH"))
            shares = route_effects.shares(proxy)
            self._say("listener", f"{listener['name']}: {what}, HTTP is not looked at", self._tcp_place(shares))
            return self._to_clusters(shares, {}, {})
        table = str((manager.get("rds") or {}).get("route_config_name", ""))
        self._say("listener", f"{listener['name']}: HTTP, route configuration {table}", self._gateway_place())
        if self._proxy.is_gateway:
            verdict = self._known.servers_say.at(chain or {}, self._request, self._gateway_port())
            self._steps += verdict.steps
            if verdict.flag:
                return self._finish(
                    "403, refused by the gateway's AuthorizationPolicy", (Answer(status=403, flag="RBAC"),)
                )
        return self._virtual_host(table, self._known.tables.get(table, {}))

    def _limits(self) -> None:
        """A Sidecar resource decides what the proxy knows at all."""
        found = self._mesh.configuration.sidecar(self._proxy)
        if found is not None:
            key = (found.meta.namespace, found.meta.name)
            self._say("sidecar", f"Sidecar {'/'.join(key)} says what this pod knows", self._place("Sidecar", *key))

    def _listener(self) -> Json | None:
        """That of the called Service's address, or the one for every address of the port."""
        port = self._gateway_port()
        names = (f"{address}_{port}" for address in (*self._addresses(), "0.0.0.0"))
        return next((self._known.listeners[name] for name in names if name in self._known.listeners), None)

    def _gateway_port(self) -> int:
        """Where the proxy listens: a gateway's pod perhaps on another port than its Service."""
        gateway = self._mesh.configuration.view_key(self._proxy).gateway
        return dict(gateway[1]).get(self._request.port, self._request.port) if gateway else self._request.port

    def _addresses(self) -> tuple[str, ...]:
        scope = self._mesh.configuration.view(self._proxy).scope
        for service in scope.on_port(self._request.port):
            if self._request.host in scope.domains(service):
                return service.addresses
        return (self._request.host,)

    def _outside(self) -> Explanation:
        where = f"{self._request.host}:{self._request.port}"
        if self._proxy.is_gateway:
            return self._end("listener", f"none for port {self._request.port}", "connection refused", Answer(flag="BH"))
        sidecar = self._mesh.configuration.sidecar(self._proxy)
        policy = (sidecar.outbound_policy if sidecar else None) or self._mesh.configuration.settings.outbound_policy
        text = f"none for port {self._request.port}: the outbound policy is {policy}"
        if policy == "ALLOW_ANY":
            outcome = f"passes through to {where} as it is"
            return self._end("listener", text, outcome, Answer(cluster="PassthroughCluster"))
        return self._end("listener", text, "connection reset (BlackHoleCluster)", Answer(flag="BH"))

    def _virtual_host(self, table: str, routes: Mapping[str, Any]) -> Explanation:
        found = virtual_host(routes, self._request.authority)
        if found is None:
            text = f"none takes {self._request.authority}"
            return self._end("virtual host", text, "404 NR (no virtual host)", Answer(status=404, flag="NR"))
        host, domain = found
        text = f"{host['name']}: {self._request.authority} is its domain {domain}"
        self._say("virtual host", text, self._host_place(str(host["name"])))
        if host.get("require_tls") == "ALL" and self._request.scheme == "http":
            goal = route_effects.location({}, {"scheme_redirect": "https"}, self._request)
            self._say("virtual host", "httpsRedirect: everything without TLS is redirected")
            return self._finish(f"redirected: 301 to {goal}", (Answer(status=301, location=goal),))
        return self._route(table, host)

    def _route(self, table: str, host: Mapping[str, Any]) -> Explanation:
        passed: list[str] = []
        for index, route in enumerate(host.get("routes") or ()):
            match = route.get("match") or {}
            problem = misfit(match, self._request)
            blocks = self._known.origins.of(table, str(host["name"]), index)
            if problem:
                passed.append(f"{self._words(route, blocks) or conditions(match)}: {problem}")
                continue
            return self._take(route, blocks, tuple(passed))
        what = f"none of {len(passed)} fits" if passed else f"{host['name']} has none"
        self._say("route", what, passed_over=tuple(passed))
        return self._finish(_TOLD["NR"], (Answer(status=404, flag="NR"),))

    def _take(self, route: Json, blocks: Blocks, passed: tuple[str, ...]) -> Explanation:
        match, words = route.get("match") or {}, self._words(route, blocks)
        place = self._place("VirtualService", *blocks[-1].key, path=blocks[-1].path) if blocks else ""
        text = f"{route.get('name') or 'default'}: {conditions(match)}"
        self._say("route", f"{text}, of {words}" if words else f"{text}, the Service's own", place, passed)
        for root in blocks[:-1]:
            self._say("delegate", f"by {root.words}", self._place("VirtualService", *root.key, path=root.path))
        below = blocks[-1].path[:3] if blocks else ()

        def written(*fields: str | int) -> str:
            return self._place("VirtualService", *blocks[-1].key, path=(*below, *fields)) if blocks else ""

        if route_effects.answers_preflight(route, self._request):
            self._say("cors", "a preflight request", written("corsPolicy"))
            return self._finish("200, the preflight is answered by the proxy itself", (Answer(status=200),))
        if "direct_response" in route:
            status = int(route["direct_response"].get("status") or 200)
            self._say("direct response", f"status {status}", written("directResponse"))
            answer = Answer(status=status, response_headers=route_effects.response_headers((route,)))
            return self._finish(f"{status}, answered by the proxy itself", (answer,))
        if "redirect" in route:
            status = route_effects.redirect_status(route["redirect"])
            goal = route_effects.location(match, route["redirect"], self._request)
            self._say("redirect", f"{status} to {goal}", written("redirect"))
            headers = route_effects.response_headers((route,))
            answer = Answer(status=status, location=goal, response_headers=headers)
            return self._finish(f"redirected: {status} to {goal}", (answer,))
        if "route" not in route:
            self._say("route", "it has no action: Envoy answers 404", place)
            return self._finish(_TOLD["NR"], (Answer(status=404, flag="NR"),))
        for step, text, field in route_effects.changes(route, self._request):
            self._say(step, text, written(field))
        return self._to_clusters(route_effects.shares(route["route"]), route, route["route"], written("route"))

    def _words(self, route: Mapping[str, Any], blocks: Blocks) -> str:
        if blocks:
            return f"VirtualService {blocks[-1].words}"
        named = config_of(route)
        name, _, namespace = named.rpartition(".")
        return f"VirtualService {namespace}/{name}" if named else ""

    def _to_clusters(
        self, shares: list[tuple[Mapping[str, Any], int]], route: Json, action: Mapping[str, Any], place: str = ""
    ) -> Explanation:
        """Where it goes, each branch with its own changes; an injected abort takes its share of all of them."""
        total = sum(weight for _, weight in shares) or 1
        status, aborted = route_effects.abort(route)
        answers: list[Answer] = []
        ends: dict[str, str] = {}
        for branch, weight in shares:
            name = str(branch["name"])
            self._cluster(name, f"{100 * weight / total:g}% of requests to " if len(shares) > 1 else "", place)
            flag, ends[name] = self._end_of(name)
            if aborted:
                # The branch is chosen before the fault is, and changes this answer's headers, too.
                changed = route_effects.response_headers((branch, route))
                part = aborted * weight / total
                answers.append(Answer(share=part, status=status, flag="FI", response_headers=changed))
            if aborted < 1:
                part = (1 - aborted) * weight / total
                answer = self._answer(branch, route, action, name, flag, part)
                if flag:
                    answers.append(answer)
                else:
                    served, ends[name] = self._served(answer, bool(action), ends[name])
                    answers += served
        outcome = "; ".join(f"{name}: {text}" for name, text in ends.items())
        if len(set(ends.values())) == 1:
            outcome = next(iter(ends.values()))
        if aborted:
            rest = f"; the rest: {outcome}" if aborted < 1 else ""
            outcome = f"{100 * aborted:g}% get {status}, {_TOLD['FI']}{rest}"
        return self._finish(
            outcome, tuple(answers), tuple((str(item["name"]), weight) for item, weight in shares), route
        )

    def _answer(
        self, branch: Mapping[str, Any], route: Json, action: Mapping[str, Any], name: str, flag: str, share: float
    ) -> Answer:
        levels = (branch, route)
        changed = route_effects.response_headers(levels)
        if flag:
            return Answer(share=share, status=503, flag=flag, cluster=name, response_headers=changed)
        return Answer(
            share=share,
            cluster=name,
            host=route_effects.rewritten_host(action, branch, self._request) if action else "",
            path=route_effects.rewritten_path(route.get("match") or {}, action, self._request) if action else "",
            request_headers=route_effects.request_headers(levels, self._request),
            response_headers=changed,
        )

    def _served(self, answer: Answer, is_http: bool, end: str) -> tuple[list[Answer], str]:
        """What the servers' proxies make of it, and how it ends in words: several answers where the pods disagree."""
        known, request = self._known, self._request
        sent = as_sent(request, answer.host, answer.path, answer.request_headers)
        entries = known.entries.get(answer.cluster, ())
        verdicts = known.servers_say.verdicts(known.clusters.get(answer.cluster, {}), entries, sent)
        total = sum(verdicts.values())
        out: list[Answer] = []
        words: list[str] = []
        for verdict, count in verdicts.items():
            part = f"{count} of {total} endpoints: " if len(verdicts) > 1 else ""
            for step in verdict.steps:
                self._steps.append(replace(step, text=part + step.text))
            words.append(part + (_TOLD[verdict.flag] if verdict.flag else end))
            share = answer.share * count / total
            if not verdict.flag:
                out.append(replace(answer, share=share))
            else:
                status = 403 if verdict.flag == "RBAC" else 503 if is_http else 0
                refused = Answer(status=status, flag=verdict.flag, cluster=answer.cluster)
                out.append(replace(refused, share=share, response_headers=answer.response_headers))
        return (out, "; ".join(words)) if out else ([answer], end)

    def _cluster(self, name: str, share: str, place: str) -> None:
        cluster = self._known.clusters.get(name)
        if cluster is None:
            self._say("cluster", f"{share}{name}: does not exist", place)
            return
        rule, subset = config_of(cluster), name.split("|")[2] if name.count("|") == 3 else ""
        words = ""
        if rule:
            rule_name, _, namespace = rule.rpartition(".")
            place = self._place(
                "DestinationRule", namespace, rule_name, path=self._subset(namespace, rule_name, subset)
            )
            words = f", by DestinationRule {namespace}/{rule_name}" + (f" subset {subset}" if subset else "")
        balancing = cluster.get("lb_policy", "ROUND_ROBIN")
        self._say("cluster", f"{share}{name}: {balancing}{words}", place)
        if cluster.get("type") == "EDS":
            known = self._mesh.configuration.snapshot.pods
            servers = []
            for address, health in self._known.servers.get(name, ()):
                pod = known.get(address.rpartition(":")[0])
                servers.append(f"{address} {health}" + (f" ({pod.namespace}/{pod.name})" if pod else ""))
            self._say("endpoints", ", ".join(servers) or f"{name} has none")

    def _subset(self, namespace: str, name: str, subset: str) -> Path:
        raw = self._mesh.configs.get(("DestinationRule", namespace, name)) or {}
        for index, item in enumerate((raw.get("spec") or {}).get("subsets") or ()):
            if subset and item.get("name") == subset:
                return ("spec", "subsets", index)
        return ("spec",)

    def _end_of(self, name: str) -> tuple[str, str]:
        """(Envoy's flag when it cannot be forwarded, in words)."""
        cluster = self._known.clusters.get(name)
        if cluster is None:
            return "NC", _TOLD["NC"]
        if cluster.get("type") != "EDS":
            return "", f"forwarded by {name}"
        healthy = any(health == "HEALTHY" for _, health in self._known.servers.get(name, ()))
        return ("", "forwarded") if healthy else ("UH", _TOLD["UH"])

    def _host_place(self, name: str) -> str:
        """Where the Service or ServiceEntry of a virtual host is written; "" when none is."""
        service = self._mesh.configuration.snapshot.services.get(name.rpartition(":")[0])
        if service is None:
            return ""
        for kind in ("Service", "ServiceEntry"):
            if place := self._mesh.place(kind, service.meta.namespace, service.meta.name, ("metadata",)):
                return place
        return ""

    def _gateway_place(self) -> str:
        """Where the server of a Gateway that listens there is written."""
        for (namespace, name), item in self._mesh.configuration.snapshot.gateways.items():
            if self._proxy.is_gateway and item.selects(self._proxy.labels):
                for index, server in enumerate(item.servers):
                    if server.port == self._request.port:
                        return self._place("Gateway", namespace, name, path=("spec", "servers", index))
        return ""

    def _tcp_place(self, shares: list[tuple[Mapping[str, Any], int]]) -> str:
        """Where the tls or tcp block with just these destinations is written; "" for the Service's own."""
        goals = {str(item["name"]) for item, _ in shares}
        scope = self._mesh.configuration.view(self._proxy).scope
        targets = ClientTargets(scope, dict(self._proxy.labels))
        for item in scope.virtual_services:
            for field, routes in (("tls", item.tls), ("tcp", item.tcp)):
                for index, route in enumerate(routes):
                    sent = [
                        weighted for weighted in route.destinations if weighted.weight or len(route.destinations) == 1
                    ]
                    if {targets.l4_cluster(weighted.destination, self._request.port) for weighted in sent} == goals:
                        path: Path = ("spec", field, index)
                        return self._place("VirtualService", item.meta.namespace, item.meta.name, path=path)
        return ""

    def _place(self, kind: str, namespace: str, name: str, path: Path = ("spec",)) -> str:
        return self._mesh.where(kind, namespace, name, path)

    def _say(self, name: str, text: str, place: str = "", passed_over: tuple[str, ...] = ()) -> None:
        self._steps.append(Step(name=name, text=text, place=place, passed_over=passed_over))

    def _end(self, name: str, text: str, outcome: str, answer: Answer) -> Explanation:
        self._say(name, text)
        return self._finish(outcome, (answer,))

    def _finish(
        self,
        outcome: str,
        answers: tuple[Answer, ...],
        clusters: tuple[tuple[str, int], ...] = (),
        route: Json | None = None,
    ) -> Explanation:
        found = route or {}
        return Explanation(
            steps=tuple(self._steps),
            outcome=outcome,
            answers=answers,
            clusters=clusters,
            copies=tuple(route_effects.copies(found.get("route") or {})),
            delay=route_effects.delay(found),
        )
