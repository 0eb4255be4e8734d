"""The server's side of a request: what each pod behind a cluster says to it by PeerAuthentication and AuthorizationPolicy. Pure.

It reads the inbound listener that the pod's proxy would get, and the policies only to say which of them decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mesh_reference.commands import chain_matching
from mesh_reference.commands.dump import filters
from mesh_reference.commands.explanation import Step
from mesh_reference.commands.proxy_dump import bodies
from mesh_reference.commands.rbac_matching import Caller, Ruling, judge
from mesh_reference.model import authorization_policies, peer_authentications
from mesh_reference.model.endpoints import TLS_MODE
from mesh_reference.model.peer_authentications import MtlsMode
from mesh_reference.xds import names
from mesh_reference.xds.resources import LISTENER

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.commands.route_matching import Request
    from mesh_reference.documents import Path
    from mesh_reference.model.endpoints import Pod
    from mesh_reference.model.proxies import Proxy

Json = dict[str, Any]

_RULE = re.compile(r"ns\[(?P<namespace>[^]]*)\]-policy\[(?P<name>[^]]*)\]-rule\[(?P<index>\d+)\]")
_SIDES = {"from": "its source does not match", "to": "its operation does not match"}
MUTUAL, TLS = "mutual TLS", "TLS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a server's proxy does with the request. ``flag``: RBAC = refused with 403, UC = the connection is closed."""

    flag: str
    steps: tuple[Step, ...]


class ServerSide:
    """Asks the proxies of the pods; each is made once."""

    def __init__(self, mesh: Mesh, client: Proxy) -> None:
        self._mesh, self._client = mesh, client
        self._listeners: dict[str, Json] = {}
        self._servers: dict[str, Proxy] = {}

    def verdicts(self, cluster: Mapping[str, Any], servers: Iterable[Json], request: Request) -> dict[Verdict, int]:
        """Each different verdict of the healthy endpoints, and how many of them say so. None of pods outside the mesh.

        ``servers``: entries of the cluster's load assignment; ``request`` as it leaves the client.
        """
        found: dict[Verdict, int] = {}
        for entry in servers:
            place = (entry.get("endpoint") or {}).get("address", {}).get("socket_address") or {}
            pod = self._mesh.configuration.snapshot.pods.get(str(place.get("address")))
            if entry.get("health_status", "HEALTHY") not in {"HEALTHY", "UNKNOWN"}:
                continue
            if pod is None or pod.labels.get(TLS_MODE) != "istio":
                verdict = Verdict(flag="", steps=())
            else:
                sort, offered, sni = _security(cluster, entry)
                verdict = self._of(pod, int(place.get("port_value", 0)), sort, offered, sni, request)
            found[verdict] = found.get(verdict, 0) + 1
        return found

    def _of(self, pod: Pod, port: int, sort: str, offered: tuple[str, ...], sni: str, request: Request) -> Verdict:
        server = self._server(pod)
        mode, policy, path = peer_authentications.deciding(
            self._mesh.configuration.snapshot.peer_authentications.values(),
            pod.namespace,
            pod.labels,
            self._mesh.configuration.settings.root_namespace,
            port,
        )
        by = f"by PeerAuthentication {policy.meta.namespace}/{policy.meta.name}" if policy else "the default"
        where = self._place("PeerAuthentication", policy.meta.namespace, policy.meta.name, path) if policy else ""
        mutual = sort == MUTUAL and mode is not MtlsMode.DISABLE
        domain = self._mesh.configuration.settings.trust_domain
        account = self._client.service_account or "default"
        identity = names.spiffe_id(domain, self._client.namespace, account) if mutual else ""
        chain = chain_matching.inbound(self._listener(server), port, sort, offered)
        text = f"{mode.value}, {by}: {sort}" + (f" as {identity}" if identity else "")
        if chain is None:
            refused = Step(
                name="authentication", text=f"{text} is not taken: the server closes the connection", place=where
            )
            return Verdict(flag="UC", steps=(refused,))
        caller = Caller(
            request=request,
            identity=identity,
            address=None if self._client.is_gateway and not identity else self._client.address,
            port=port,
            server=pod.address,
            sni=sni,
        )
        flag, steps = self._authorized(chain, caller, server)
        return Verdict(flag=flag, steps=(Step(name="authentication", text=text, place=where), *steps))

    def at(self, chain: Json, request: Request, port: int) -> Verdict:
        """What the policies of a gateway say to a request from outside, of whose address nothing is known."""
        caller = Caller(request=request, port=port, server=self._client.address, sni=request.host)
        flag, steps = self._authorized(chain, caller, self._client)
        return Verdict(flag=flag, steps=steps)

    def _authorized(self, chain: Json, caller: Caller, server: Proxy) -> tuple[str, tuple[Step, ...]]:
        http, rules = _rules(chain)
        steps: list[Step] = []
        for rule in rules:
            ruling = judge(rule, caller)
            steps.append(self._step(ruling, server))
            if ruling.allowed is False:
                return ("RBAC" if http else "UC"), tuple(steps)
        return "", tuple(steps)

    def _step(self, ruling: Ruling, server: Proxy) -> Step:
        missed = tuple(f"AuthorizationPolicy {_words(name)}: {_SIDES[side]}" for name, side in ruling.missed)
        place = self._rule_place(ruling.rule)
        if ruling.allowed is None:
            text = f"whether AuthorizationPolicy {_words(ruling.rule)} matches depends on the caller's address"
        elif ruling.rule:
            text = f"{'allowed' if ruling.allowed else 'denied'} by AuthorizationPolicy {_words(ruling.rule)}"
        elif ruling.action == "DENY":
            text = "no DENY rule matches"
        else:
            policies = self._deciding(server)
            text = "denied: " + (
                "a CUSTOM policy asks an authorizer that this mesh does not have"
                if policies.refuse_all
                else f"no rule of the ALLOW policies matches ({', '.join(_name(one) for one in policies.allow)})"
            )
            first = next(iter(policies.allow), None)
            if first is not None and not policies.refuse_all:
                place = self._place("AuthorizationPolicy", first.meta.namespace, first.meta.name, ("spec",))
        return Step(name="authorization", text=text, place=place, passed_over=missed)

    def _deciding(self, server: Proxy) -> authorization_policies.Authorization:
        configuration = self._mesh.configuration
        return authorization_policies.compose(
            configuration.snapshot.authorization_policies.values(),
            server.namespace,
            server.labels,
            configuration.settings.root_namespace,
        )

    def _server(self, pod: Pod) -> Proxy:
        name = f"{pod.namespace}/{pod.name}"
        if name not in self._servers:
            self._servers[name] = self._mesh.proxy(name)
        return self._servers[name]

    def _listener(self, server: Proxy) -> Json:
        if server.id not in self._listeners:
            found = self._mesh.configuration.inbound(server).of(LISTENER).get(names.VIRTUAL_INBOUND)
            self._listeners[server.id] = bodies([found])[0] if found is not None else {}
        return self._listeners[server.id]

    def _rule_place(self, name: str) -> str:
        match = _RULE.fullmatch(name)
        if match is None:
            return ""
        return self._place(
            "AuthorizationPolicy", match["namespace"], match["name"], ("spec", "rules", int(match["index"]))
        )

    def _place(self, kind: str, namespace: str, name: str, path: Path) -> str:
        return self._mesh.where(kind, namespace, name, path)


def _security(cluster: Mapping[str, Any], entry: Mapping[str, Any]) -> tuple[str, tuple[str, ...], str]:
    """How the client's proxy speaks to the endpoint: the sort, the protocols that it offers (ALPN), the SNI."""
    metadata = ((entry.get("metadata") or {}).get("filter_metadata") or {}).get("envoy.transport_socket_match") or {}
    socket: Mapping[str, Any] = cluster.get("transport_socket") or {}
    for candidate in cluster.get("transport_socket_matches") or ():
        wanted = candidate.get("match") or {}
        if all(metadata.get(key) == value for key, value in wanted.items()):
            socket = candidate.get("transport_socket") or {}
            break
    config = socket.get("typed_config") or {}
    while "transport_socket" in config:  # a PROXY header before what follows
        config = config["transport_socket"].get("typed_config") or {}
    context = config.get("common_tls_context")
    if context is None:
        return chain_matching.PLAIN, (), ""
    offered = tuple(context.get("alpn_protocols") or ())
    return (MUTUAL if "istio" in offered else TLS), offered, str(config.get("sni") or "")


def _rules(chain: Json) -> tuple[bool, list[Json]]:
    """Is HTTP read there, and the rules of its RBAC filters in their order."""
    manager = next(filters(chain, "HttpConnectionManager"), None)
    found = manager.get("http_filters") or () if manager is not None else chain.get("filters") or ()
    return manager is not None, [*_rbac(found)]


def _rbac(found: Iterable[Mapping[str, Any]]) -> Iterator[Json]:
    for item in found:
        config = item.get("typed_config") or {}
        if str(config.get("@type", "")).endswith(".RBAC"):
            yield config.get("rules") or {}


def _words(rule: str) -> str:
    match = _RULE.fullmatch(rule)
    return f"{match['namespace']}/{match['name']} rules[{match['index']}]" if match else rule


def _name(policy: authorization_policies.AuthorizationPolicy) -> str:
    return f"{policy.meta.namespace}/{policy.meta.name}"


def as_sent(request: Request, host: str, path: str, changed: Mapping[str, str | None]) -> Request:
    """The request as it leaves the client's proxy."""
    kept = tuple((name, value) for name, value in request.headers if name not in {*changed, "host", ":authority"})
    added = tuple((name, value) for name, value in changed.items() if value is not None)
    return replace(
        request, path=path or request.path, headers=(*kept, *added, (":authority", host or request.authority))
    )
