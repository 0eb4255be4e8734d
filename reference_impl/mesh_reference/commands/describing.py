"""What the mesh does with one pod or one Service, as data and in the lines of ``istioctl x describe`` (§5). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.commands.analysis import each_destination
from mesh_reference.errors import MeshError
from mesh_reference.model import hosts
from mesh_reference.model.hosts import MESH
from mesh_reference.model.peer_authentications import compose, in_scope
from mesh_reference.model.services import hostname

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh
    from mesh_reference.model.endpoints import Endpoint
    from mesh_reference.model.proxies import Proxy
    from mesh_reference.model.services import Service

Json = dict[str, Any]
_RULE = "--------------------"
_POLICIES = {
    "loadBalancer": "load balancer", "connectionPool": "connection pool", "outlierDetection": "outlier detection",
    "tls": "TLS", "tunnel": "tunnel", "proxyProtocol": "PROXY protocol", "portLevelSettings": "settings by port",
}  # fmt: skip


class UnknownServiceError(MeshError):
    """No Service of that name; ``str()`` lists those that are there."""


def pod(mesh: Mesh, proxy: Proxy) -> Json:
    """The pod, its mutual TLS, the Services that lead to it, and what is missing."""
    snapshot, settings = mesh.configuration.snapshot, mesh.configuration.settings
    name = proxy.id.removesuffix(f".{proxy.namespace}")
    raw = mesh.objects.get(("Pod", proxy.namespace, name)) or {}
    scope = (snapshot.peer_authentications.values(), proxy.namespace, proxy.labels, settings.root_namespace)
    mtls, applied = compose(*scope), in_scope(*scope)
    warnings = []
    if proxy.labels.get("security.istio.io/tlsMode") != "istio" and not proxy.is_gateway:
        warnings.append("the pod has no sidecar (label security.istio.io/tlsMode is not istio)")
    warnings += [
        f"the pod has no label {label!r}, which subsets and telemetry go by"
        for label in ("app", "version")
        if not proxy.labels.get(label)
    ]
    services = [
        snapshot.services[host]
        for host in sorted(snapshot.hosts_at.get(proxy.address, ()))
        if host in snapshot.services
    ]
    if not services:
        warnings.append("no Service leads to this pod")
    return {
        "pod": proxy.id,
        "revision": ((raw.get("metadata") or {}).get("annotations") or {}).get("istio.io/rev") or settings.revision,
        "ports": list(_pod_ports(raw)),
        "address": proxy.address,
        "identity": f"spiffe://{settings.trust_domain}/ns/{proxy.namespace}/sa/{proxy.service_account}",
        "warnings": warnings,
        "services": [_service(mesh, found, proxy) for found in services],
        "peerAuthentication": {
            "mode": str(mtls.mode),
            "ports": {str(port): str(mode) for port, mode in mtls.ports},
            "applied": [
                {
                    "name": f"{policy.meta.name}.{policy.meta.namespace}",
                    "place": mesh.place("PeerAuthentication", policy.meta.namespace, policy.meta.name, ("spec",)),
                }
                for policy in applied
                if policy is not None
            ],
        },
    }


def service(mesh: Mesh, name: str) -> Json:
    """The Service ``namespace/name``: ports, rules, routes, endpoints. Raises `UnknownServiceError`."""
    namespace, slash, short = name.rpartition("/")
    host = hostname(short, namespace if slash else "default", mesh.configuration.settings.domain)
    found = mesh.configuration.snapshot.services.get(host)
    if found is None:
        known = sorted(
            f"{item.meta.namespace}/{item.meta.name}" for item in mesh.configuration.snapshot.services.values()
        )
        raise UnknownServiceError(f"no Service {name}; there are: {', '.join(known) or 'none'}")
    return _service(mesh, found, None)


def warnings_of(facts: Mapping[str, Any]) -> list[str]:
    """Every warning in what was described, its parts' too."""
    out = list(facts.get("warnings") or ())
    for key in ("services", "destinationRules", "virtualServices"):
        for part in facts.get(key) or ():
            out += warnings_of(part)
    return out


def _pod_ports(raw: Mapping[str, Any]) -> Iterator[Json]:
    for container in (raw.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if container.get("name") != "istio-proxy":
                yield {"port": port.get("containerPort"), "container": container.get("name")}


def _service(mesh: Mesh, found: Service, proxy: Proxy | None) -> Json:
    snapshot = mesh.configuration.snapshot
    raw = mesh.objects.get(("Service", found.meta.namespace, found.meta.name)) or {}
    targets = {
        item.get("port"): item.get("targetPort", item.get("port"))
        for item in (raw.get("spec") or {}).get("ports") or ()
    }
    endpoints = snapshot.endpoints.get(found.hostname, ())
    ready = [item for item in endpoints if item.ready]
    return {
        "service": f"{found.meta.name}.{found.meta.namespace}",
        "ports": [
            {"name": port.name, "port": port.number, "protocol": str(port.protocol), "target": targets.get(port.number, port.number)}
            for port in found.ports
        ],
        "endpoints": {"ready": len(ready), "all": len(endpoints)},
        "warnings": [] if ready else ["no endpoint is ready: requests get 503 UH"],
        "destinationRules": list(_rules(mesh, found, endpoints, proxy)),
        "virtualServices": list(_routes(mesh, found, proxy)),
        "gateways": sorted(_gateways(mesh, found)),
    }  # fmt: skip


def _rules(mesh: Mesh, found: Service, endpoints: tuple[Endpoint, ...], proxy: Proxy | None) -> Iterator[Json]:
    for (namespace, name), rule in sorted(mesh.configuration.snapshot.destination_rules.items()):
        if not hosts.matches(rule.host, found.hostname):
            continue
        spec = (mesh.configs.get(("DestinationRule", namespace, name)) or {}).get("spec") or {}
        counts = {
            subset.name: sum(dict(subset.labels).items() <= item.labels.items() for item in endpoints)
            for subset in rule.subsets
        }
        mine = [
            subset.name
            for subset in rule.subsets
            if proxy is None or dict(subset.labels).items() <= proxy.labels.items()
        ]
        warnings = [
            f"subset {subset} selects no pod: requests to it get 503 UH"
            for subset, count in counts.items()
            if not count
        ]
        if proxy is not None and rule.subsets and not mine:
            warnings.append("the pod is in none of these subsets")
        yield {
            "destinationRule": f"{name}.{namespace}",
            "host": spec.get("host", rule.host),
            "place": mesh.place("DestinationRule", namespace, name, ("spec",)),
            "matchingSubsets": mine,
            "otherSubsets": [subset.name for subset in rule.subsets if subset.name not in mine],
            "endpoints": counts,
            "policies": [words for field, words in _POLICIES.items() if field in (spec.get("trafficPolicy") or {})],
            "tls": ((spec.get("trafficPolicy") or {}).get("tls") or {}).get("mode", ""),
            "warnings": warnings,
        }


def _routes(mesh: Mesh, found: Service, proxy: Proxy | None) -> Iterator[Json]:
    """VirtualServices that take the Service's requests or send it some, with the routes that reach this pod."""
    domain = mesh.configuration.settings.domain
    for (namespace, name), item in sorted(mesh.configuration.snapshot.virtual_services.items()):
        spec = (mesh.configs.get(("VirtualService", namespace, name)) or {}).get("spec") or {}
        goals = [
            (path, goal, hosts.resolve(str(goal.get("host") or ""), namespace, domain))
            for path, goal in each_destination(spec)
        ]
        takes = any(hosts.matches(host, found.hostname) for host in item.hosts)
        if not takes and not any(host == found.hostname for _, _, host in goals):
            continue
        reached: list[Json] = []
        other, undefined = 0, []
        for path, goal, host in goals:
            subset = str(goal.get("subset") or "")
            if host == found.hostname and subset and not _is_defined(mesh, host, subset):
                undefined.append(f"subset {subset} is defined by no DestinationRule: requests to it get 503 NC")
            if host != found.hostname or not _reaches(mesh, host, subset, proxy):
                other += 1
                continue
            block = spec[path[1]][path[2]]
            weighted = list(block.get("route") or ())
            weight = weighted[int(path[4])].get("weight") if len(path) > 4 and len(weighted) > 1 else None
            reached.append(
                {
                    "host": goal.get("host"),
                    "subset": goal.get("subset") or "",
                    "weight": weight,
                    "match": _match_words(block),
                    "place": mesh.place("VirtualService", namespace, name, path),
                }
            )
        yield {
            "virtualService": f"{name}.{namespace}",
            "place": mesh.place("VirtualService", namespace, name, ("spec",)),
            "takesItsRequests": takes,
            "routes": reached,
            "otherDestinations": other,
            "warnings": [*item.warnings, *undefined],
        }


def _is_defined(mesh: Mesh, host: str, subset: str) -> bool:
    rules = mesh.configuration.snapshot.destination_rules.values()
    return any(hosts.matches(rule.host, host) and rule.subset(subset) for rule in rules)


def _reaches(mesh: Mesh, host: str, subset: str, proxy: Proxy | None) -> bool:
    if not subset or proxy is None:
        return True
    rules = [rule for rule in mesh.configuration.snapshot.destination_rules.values() if hosts.matches(rule.host, host)]
    found = [rule.subset(subset) for rule in rules]
    return any(item is not None and dict(item.labels).items() <= proxy.labels.items() for item in found)


def _match_words(block: Mapping[str, Any]) -> str:
    """The conditions as they are written, ``or`` between match blocks."""
    words = []
    for match in block.get("match") or ():
        parts = []
        for field, value in match.items():
            if field in {"headers", "withoutHeaders", "queryParams", "sourceLabels"}:
                parts += [f"{field} {key} {_condition(item)}" for key, item in value.items()]
            else:
                parts.append(f"{field} {_condition(value)}")
        words.append(" and ".join(parts))
    return " or ".join(words)


def _condition(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{kind} {text}" for kind, text in value.items()) or "is there"
    return str(value)


def _gateways(mesh: Mesh, found: Service) -> Iterator[str]:
    """Gateways through which a VirtualService sends requests to the Service."""
    snapshot = mesh.configuration.snapshot
    for item in snapshot.virtual_services.values():
        if found.hostname in item.destinations:
            for name in item.gateways:
                namespace, _, gateway = name.rpartition("/")
                if name != MESH and (namespace, gateway) in snapshot.gateways:
                    yield f"{gateway}.{namespace}: {', '.join(item.hosts)}"


def lines(facts: Mapping[str, Any]) -> list[str]:
    """In Istio's layout, with places and warnings besides."""
    return list(_pod_lines(facts) if "pod" in facts else _service_lines(facts))


def _pod_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"Pod: {facts['pod']}"
    yield f"   Pod Revision: {facts['revision']}"
    ports = ", ".join(f"{item['port']} ({item['container']})" for item in facts["ports"])
    yield f"   Pod Ports: {ports or 'none'}"
    yield f"   Address: {facts['address']}"
    yield f"   Identity: {facts['identity']}"
    yield from _warning_lines(facts, "")
    for item in facts["services"]:
        yield _RULE
        yield from _service_lines(item)
    yield _RULE
    yield "Effective PeerAuthentication:"
    yield f"   Workload mTLS mode: {facts['peerAuthentication']['mode']}"
    for port, mode in facts["peerAuthentication"]["ports"].items():
        yield f"   Port {port} mTLS mode: {mode}"
    if facts["peerAuthentication"]["applied"]:
        yield "Applied PeerAuthentication:"
    for policy in facts["peerAuthentication"]["applied"]:
        yield f"   {policy['name']}" + (f"   [{policy['place']}]" if policy["place"] else "")


def _service_lines(facts: Mapping[str, Any]) -> Iterator[str]:
    yield f"Service: {facts['service']}"
    for port in facts["ports"]:
        yield f"   Port: {port['name'] or '(unnamed)'} {port['port']}/{port['protocol']} targets pod port {port['target']}"
    yield f"   Endpoints: {facts['endpoints']['ready']} ready of {facts['endpoints']['all']}"
    yield from _warning_lines(facts)
    for rule in facts["destinationRules"]:
        yield f'DestinationRule: {rule["destinationRule"]} for "{rule["host"]}"' + _placed(rule)
        if rule["endpoints"]:
            yield f"   Matching subsets: {','.join(rule['matchingSubsets']) or 'none'}"
        if rule["otherSubsets"]:
            yield f"      (Non-matching subsets {','.join(rule['otherSubsets'])})"
        yield f"   Traffic Policy: {', '.join(rule['policies'])}" if rule["policies"] else "   No Traffic Policy"
        if rule["tls"]:
            yield f"      TLS mode: {rule['tls']}"
        yield from _warning_lines(rule)
    for item in facts["virtualServices"]:
        yield f"VirtualService: {item['virtualService']}" + _placed(item)
        for route in item["routes"]:
            subset = f' subset "{route["subset"]}"' if route["subset"] else ""
            weight = f" with weight {route['weight']}%" if route["weight"] is not None else ""
            when = f" when {route['match']}" if route["match"] else ""
            yield f'   Route to host "{route["host"]}"{subset}{weight}{when}' + _placed(route)
        if item["otherDestinations"]:
            yield f"   {item['otherDestinations']} additional destination(s) that will not reach this pod"
        yield from _warning_lines(item)
    for gateway in facts["gateways"]:
        yield f"Exposed by Gateway {gateway}"


def _placed(facts: Mapping[str, Any]) -> str:
    return f"   [{facts['place']}]" if facts["place"] else ""


def _warning_lines(facts: Mapping[str, Any], indent: str = "   ") -> Iterator[str]:
    for text in facts["warnings"]:
        yield f"{indent}WARNING: {text}"
