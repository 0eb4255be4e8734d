"""The rules of Ingresses and NetworkPolicies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.rules.faults import (
    named,
    network,
    one_of,
    port_or_name,
    required,
    selector,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def ingress(ingress: Json, _old: Json | None) -> Iterator[Cause]:
    """Check an Ingress."""
    spec = ingress.get("spec") or {}
    if not spec.get("rules") and spec.get("defaultBackend") is None:
        yield wrong("spec", None, "either `defaultBackend` or `rules` must be specified")
    if spec.get("defaultBackend") is not None:
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or ()):
        at, host = f"spec.rules[{index}]", rule.get("host", "")
        if host:
            yield from named(f"{at}.host", host.removeprefix("*."), "subdomain")
        if rule.get("http") is None:
            continue
        paths = rule["http"].get("paths") or ()
        if not paths:
            yield required(f"{at}.http.paths")
        for number, path in enumerate(paths):
            yield from _path(path, f"{at}.http.paths[{number}]")
    for index, tls in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(tls.get("hosts") or ()):
            yield from named(f"spec.tls[{index}].hosts[{number}]", host.removeprefix("*."), "subdomain")


def _path(path: Json, at: str) -> Iterator[Cause]:
    kind, text = path.get("pathType"), path.get("path", "")
    if not kind:
        yield required(f"{at}.pathType", "pathType must be specified")
    elif kind not in PATH_TYPES:
        yield unsupported(f"{at}.pathType", kind, PATH_TYPES)
    if (kind in ("Exact", "Prefix") or (kind and text)) and not text.startswith("/"):
        yield wrong(f"{at}.path", text, "must be an absolute path")
    yield from _backend(path.get("backend") or {}, f"{at}.backend")


def _backend(backend: Json, at: str) -> Iterator[Cause]:
    service = backend.get("service")
    if service is None:
        if backend.get("resource") is None:
            yield wrong(at, "", "resource or service backend is required")
        return
    if not service.get("name"):
        yield required(f"{at}.service.name")
    else:
        yield from named(f"{at}.service.name", service["name"], "label1035")
    port = service.get("port") or {}
    if port.get("name") and port.get("number"):
        yield wrong(at, "", "cannot set both port name & port number")
    elif not port.get("name") and not port.get("number"):
        yield required(at, "port name or number is required")
    elif port.get("number"):
        yield from port_or_name(port["number"], f"{at}.service.port.number")


def network_policy(policy: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a NetworkPolicy."""
    spec = policy.get("spec") or {}
    yield from selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            at = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports") or ()):
                yield from one_of(f"{at}.ports[{number}].protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
                if port.get("port") is not None:
                    yield from port_or_name(port["port"], f"{at}.ports[{number}].port")
            for number, peer in enumerate(rule.get(peers) or ()):
                yield from _peer(peer, f"{at}.{peers}[{number}]")
    for index, kind in enumerate(spec.get("policyTypes") or ()):
        yield from one_of(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress"), ordered=False)


def _peer(peer: Json, at: str) -> Iterator[Cause]:
    if not peer:
        yield required(at, "must specify a peer")
    for name in ("podSelector", "namespaceSelector"):
        yield from selector(peer.get(name), f"{at}.{name}")
    block = peer.get("ipBlock")
    if block is not None:
        yield from network(f"{at}.ipBlock.cidr", block.get("cidr", ""))
        for index, value in enumerate(block.get("except") or ()):
            yield from network(f"{at}.ipBlock.except[{index}]", value)
