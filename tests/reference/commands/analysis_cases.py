"""A mesh that shows each of ``analyze``'s codes and no other; and the sound one that they differ from."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
TO: Json = {"destination": {"host": "reviews", "port": {"number": 80}}}


def resource(kind: str, name: str, spec: Json) -> Json:
    group = "security" if kind in {"PeerAuthentication", "AuthorizationPolicy"} else "networking"
    return {"apiVersion": f"{group}.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(*ports: Json) -> Json:
    spec = {"selector": {"app": "reviews"}, "ports": list(ports) or [{"name": "http", "port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "reviews"}, "spec": spec}


def namespace(name: str, labels: dict[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def sidecar(name: str, labels: dict[str, str] | None = None) -> Json:
    return resource(
        "Sidecar",
        name,
        {**({"workloadSelector": {"labels": labels}} if labels else {}), "egress": [{"hosts": ["*/*"]}]},
    )


def gateway(name: str, port: int) -> Json:
    server = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.test"]}
    return resource("Gateway", name, {"selector": {"app": "reviews"}, "servers": [server]})


def entry(name: str, port: int, protocol: str) -> Json:
    ports = [{"number": port, "name": protocol.lower(), "protocol": protocol}]
    return resource("ServiceEntry", name, {"hosts": ["api.test"], "ports": ports, "resolution": "DNS"})


POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "labels": {"app": "reviews", "v": "1"}},
    "spec": {},
}
SOUND = [service(), POD, resource("VirtualService", "a", {"hosts": ["reviews"], "http": [{"route": [TO]}]})]
HTTP, ADMIN = {"name": "http", "port": 80}, {"name": "http-admin", "port": 81}
BARE = {"destination": {"host": "reviews"}}
CASES: dict[str, list[Json]] = {
    "IST0101": [*SOUND[:2], resource("VirtualService", "a", {"hosts": ["x"], "http": [{"route": [{"destination": {"host": "nope"}}]}]})],
    "IST0106": [*SOUND, resource("PeerAuthentication", "p", {"portLevelMtls": {"80": {"mode": "STRICT"}}})],
    "IST0109": [*SOUND, resource("VirtualService", "b", {"hosts": ["reviews"], "http": [{"route": [TO]}]})],
    "IST0112": [service(HTTP, ADMIN), POD, resource("VirtualService", "a", {"hosts": ["x"], "http": [{"route": [BARE]}]})],
    "IST0118": [service({"name": "web", "port": 80}), POD],
    "IST0127": [*SOUND, resource("PeerAuthentication", "p", {"selector": {"matchLabels": {"app": "nope"}}})],
    "IST0128": [*SOUND, resource("DestinationRule", "r", {"host": "reviews", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}})],
    "IST0129": [
        *SOUND,
        resource(
            "DestinationRule",
            "r",
            {"host": "reviews", "trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "SIMPLE"}}]}},
        ),
    ],
    "IST0130": [*SOUND[:2], resource("VirtualService", "a", {"hosts": ["x"], "http": [{"route": [TO]}, {"route": [TO]}]})],
    "IST0133": [
        *SOUND[:2],
        resource(
            "VirtualService",
            "a",
            {"hosts": ["x"], "http": [{"directResponse": {"status": 200, "body": {"string": "x" * 110_000}}}]},
        ),
    ],
    "IST0173": [*SOUND, resource("DestinationRule", "r", {"host": "reviews", "subsets": [{"name": "v2", "labels": {"v": "2"}}]})],
    "IST0174": [*SOUND, resource("DestinationRule", "r", {"host": "nope"})],
    "IST0102": [*SOUND, namespace("plain", {}), {**POD, "metadata": {"name": "b", "namespace": "plain"}}],
    "IST0110": [*SOUND, sidecar("s1", {"app": "reviews"}), sidecar("s2", {"v": "1"})],
    "IST0111": [*SOUND, sidecar("s1"), sidecar("s2")],
    "IST0123": [*SOUND, namespace("both", {"istio-injection": "enabled", "istio.io/rev": "default"})],
    "IST0125": [*SOUND, {**POD, "metadata": {"name": "b", "annotations": {"traffic.sidecar.istio.io/includeInboundPorts": "bad"}}}],
    "IST0131": [
        *SOUND[:2],
        resource("VirtualService", "a", {"hosts": ["x"], "http": [
            {"match": [{"uri": {"prefix": "/a"}}], "route": [TO]},
            {"match": [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}], "route": [TO]},
        ]}),
    ],
    "IST0132": [
        *SOUND[:2], gateway("gw", 80),
        resource("VirtualService", "a", {"hosts": ["other.test"], "gateways": ["gw"], "http": [{"route": [TO]}]}),
    ],
    "IST0134": [*SOUND, entry("e", 5432, "TCP")],
    "IST0137": [
        service(HTTP, ADMIN), {**service({"name": "http", "port": 8888, "targetPort": 80}), "metadata": {"name": "more"}}, POD,
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
            "spec": {"selector": {"matchLabels": {"app": "reviews"}}, "template": {"metadata": {"labels": {"app": "reviews"}}, "spec": {}}},
        },
    ],
    "IST0144": [*SOUND, {**POD, "metadata": {"name": "b"}, "spec": {"securityContext": {"runAsUser": 1337}}}],
    "IST0145": [*SOUND, gateway("one", 80), gateway("two", 80)],
    "IST0150": [*SOUND, {**service(), "metadata": {"name": "far"}, "spec": {"type": "ExternalName", "externalName": "a.test", "ports": [{"name": "web", "port": 80}]}}],
    "IST0162": [*SOUND, gateway("gw", 8888)],
    "IST0177": [*SOUND, entry("one", 80, "HTTP"), {**entry("two", 80, "TCP"), "spec": {**entry("two", 80, "TCP")["spec"], "addresses": ["240.0.0.1"]}}],
}  # fmt: skip
