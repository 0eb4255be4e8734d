"""Rows about who is routed and where to: binding of VirtualServices, their matches, weights, TCP and TLS, scopes."""

from __future__ import annotations

import asyncio
from typing import Any

from envoy_scene import V2, V3, get
from memory_kube import destination_rule, endpoint_slice, resource, service, virtual_service
from rows_probes import (
    DB,
    STATIC,
    Json,
    Probe,
    body,
    by_sni,
    code,
    hits,
    names_seen,
    overflow,
    routed,
    rule,
    sticky,
    tcp,
    to,
)

REVIEWS = "reviews.shop.svc.cluster.local"
BOTH = ["v1", "v2"]
SUBSETS = {"one": {"version": "v1"}, "two": {"version": "v2"}}


def says(status: int, *conditions: Json) -> Json:
    """A block that answers itself."""
    return {**({"match": list(conditions)} if conditions else {}), "directResponse": {"status": status}}


def aged(minute: int, item: Json) -> Json:
    item["metadata"]["creationTimestamp"] = f"2026-01-01T00:{minute:02}:00Z"
    return item


def named(name: str, status: int, hosts: str = "reviews", namespace: str = "shop", **spec: Any) -> Json:
    return virtual_service(name, [hosts], [says(status)], namespace, **spec)


def database(*routes: Json, kind: str = "tcp") -> list[Json]:
    return [
        destination_rule("b", "db", SUBSETS),
        resource("VirtualService", "t", {"hosts": ["db"], kind: list(routes)}),
    ]


def sni(*names: str, **more: Any) -> Json:
    return {"match": [{"port": 443, "sniHosts": list(names), **more}]}


async def branch_headers() -> list[list[str]]:
    found = [await get("/") for _ in range(24)]
    return sorted({(item[1].partition(" ")[0], item[2].get("x-branch", "-")) for item in found})


async def codes(count: int = 24, **more: Any) -> list[int]:
    return sorted({await code("/", **more) for _ in range(count)})


async def shares() -> list[int]:
    found = [(await body()).partition(" ")[0] for _ in range(12)]
    return [found.count("v1"), found.count("v2")]


def checks() -> dict[str, tuple[list[Json], Probe, Any]]:
    """Row: (resources, probe, what the table says)."""
    only_db = {
        "egress": [{"hosts": ["./db.shop.svc.cluster.local"]}],
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    }
    only_reviews = {"egress": [{"hosts": [f"./{REVIEWS}"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    entry = {
        "hosts": ["a.secure.example"], "resolution": "STATIC", "ports": [{"number": 443, "name": "tls", "protocol": "TLS", "targetPort": 9000}],
        "endpoints": [{"address": V2}],
    }  # fmt: skip
    hashed = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}}
    dead = {
        **endpoint_slice("reviews", [V3]),
        "metadata": {"name": "reviews-dead", "namespace": "shop", "labels": {"kubernetes.io/service-name": "reviews"}},
    }
    return {
        "F5": ([routed(says(418, {"sourceLabels": {"app": "nobody"}})), named("epoch", 417, "epoch.example")],
               lambda: asyncio.gather(code(host="epoch.example"), names_seen()), [417, BOTH]),
        "F9": ([rule(connectionPool={"http": {"http1MaxPendingRequests": 1}, "tcp": {"maxConnections": 1}})], overflow, True),
        "B1": ([named("a", 418, gateways=["gw"]), named("epoch", 417, "epoch.example")],
               lambda: asyncio.gather(code(host="epoch.example"), code()), [417, 200]),
        "B2": ([named("a", 418, namespace="else"), named("epoch", 417, "epoch.example", "else")],
               lambda: asyncio.gather(code(host="epoch.example"), code()), [417, 200]),
        "B3": ([named("a", 418, "Reviews.Shop.svc.cluster.local")], code, 418),
        "B4": ([named("a", 418, REVIEWS, "else")], code, 418),
        "B5": ([aged(2, named("a", 418)), aged(1, named("z", 417))], code, 417),
        "B6": ([aged(1, named("a", 418)), aged(2, named("z", 417, exportTo=["."]))], code, 417),
        "B7": ([aged(1, named("a", 418, "*.shop.svc.cluster.local")), aged(2, named("b", 417, REVIEWS)), aged(3, named("c", 416, "*.else"))],
               lambda: asyncio.gather(code(), code(host="x.else")), [417, 416]),
        "B10": ([named("a", 418, "x.example")], lambda: code(host="x.example"), 418),
        "B12": ([named("a", 418, REVIEWS, "else", exportTo=["."]), named("b", 417, "y.example", "else", exportTo=["shop"])],
                lambda: asyncio.gather(code(), code(host="y.example")), [200, 417]),
        "B13": ([service("far", STATIC, namespace="else"), endpoint_slice("far", [V2], namespace="else"), resource("Sidecar", "s", only_reviews),
                 virtual_service("v", ["reviews"], [{"route": [to("", 0, "far.else.svc.cluster.local")]}])],
                lambda: names_seen(8), ["v2"]),
        "M4": ([rule(), routed({"match": [{"uri": {"regex": "/a[0-9]"}}], "route": [to("v1")]})],
               lambda: asyncio.gather(code("/a1"), code("/a12"), code("/xa1"), code("/a1?q")), [200, 404, 404, 200]),
        "M6": ([routed(says(418, {"method": {"exact": "POST"}}), says(417, {"authority": {"exact": "reviews"}}), says(416, {"scheme": {"exact": "http"}}))],
               lambda: asyncio.gather(code(), code(host="reviews.shop")), [417, 416]),
        "M11": ([routed(says(418, {"port": 81}), says(417, {"port": 80}))], code, 417),
        "M12": ([routed(says(418, {"sourceLabels": {"app": "other"}}), says(417, {"sourceLabels": {"app": "tester"}}))], code, 417),
        "M13": ([routed(says(418, {"sourceNamespace": "else"}), says(417, {"sourceNamespace": "shop"}))], code, 417),
        "M14": ([virtual_service("v", ["reviews"], [says(418, {"gateways": ["gw"]}), says(417, {"gateways": ["mesh"]})], gateways=["gw", "mesh"])], code, 417),
        "M16": ([routed(says(418), says(417))], lambda: asyncio.gather(code("/"), code("/x?y")), [418, 418]),
        "W2": ([rule(), routed({"route": [to("v1", 1), to("v2", 1)]}), named("epoch", 417, "epoch.example")],
               lambda: asyncio.gather(code(host="epoch.example"), names_seen()), [417, BOTH]),
        "W3": ([rule(), routed({"route": [to("v1", 1)]})], names_seen, ["v1"]),
        "W4": ([rule(), routed({"route": [to("v1", 0), to("v2", 5)]})], names_seen, ["v2"]),
        "W5": ([rule(), routed({"route": [to("v1", 0), to("v1", 0)]}), named("epoch", 417, "epoch.example")],
               lambda: asyncio.gather(code(host="epoch.example"), names_seen()), [417, BOTH]),
        "W6": ([rule(), routed({"route": [to("v1", -1), to("v1", 2)]}), named("epoch", 417, "epoch.example")],
               lambda: asyncio.gather(code(host="epoch.example"), names_seen()), [417, BOTH]),
        "W7": ([rule(), routed({"route": [to("v1", 2**31), to("v1", 2**31)]}), named("epoch", 417, "epoch.example")],
               lambda: asyncio.gather(code(host="epoch.example"), names_seen()), [417, BOTH]),
        "W8": ([rule(), routed({"route": [{**to("v1", 50), "headers": {"response": {"set": {"x-branch": "b"}}}}, to("v2", 50)]})],
               branch_headers, [("v1", "b"), ("v2", "-")]),
        "W9": ([rule(), routed({"route": [to("v1", 50), to("no", 50)]})], codes, [200, 503]),
        "R5": ([routed({"redirect": {"uri": "/new", "redirectCode": 308}})], code, 308),
        "R11": ([dead, routed({"match": [{"headers": {"x-none": {"exact": "1"}}}], "route": [to()], "retries": {"attempts": 0}}, {"route": [to()]})],
                lambda: asyncio.gather(codes(x_none="1"), codes()), [[200, 503], [200]]),
        "R14": ([rule(), routed({"route": [to("v1")], "retries": {"attempts": 1, "perTryTimeout": "50ms", "retryOn": "gateway-error"}})],
                lambda: hits("/nap"), 2),
        "R20": ([routed({"match": [{"uri": {"prefix": "/"}}]}), named("epoch", 417, "epoch.example")],
                lambda: asyncio.gather(code(host="epoch.example"), code()), [417, 200]),
        "T1": (database({**sni("a.example"), "route": [to("one", 0, "db")]}, {**sni("*.b.example"), "route": [to("two", 0, "db")]}, kind="tls"),
               lambda: asyncio.gather(by_sni("a.example"), by_sni("x.b.example")), ["t1", "t2"]),
        "T2": (database({"match": [{"sourceLabels": {"app": "no"}}], "route": [to("two", 0, "db")]}, {"route": [to("one", 0, "db")]}),
               lambda: names_seen(8, lambda: tcp(DB)), ["t1"]),
        "T4": (database({**sni("a.example"), "route": [to("one", 0, "db")]}, {**sni("a.example"), "route": [to("two", 0, "db")]}, kind="tls"),
               lambda: names_seen(4, lambda: by_sni("a.example")), ["t1"]),
        "T6": (database({**sni("a.example"), "route": [to("one", 0, "db")]}, kind="tls"),
               lambda: asyncio.gather(names_seen(4, lambda: by_sni("a.example")), names_seen(4, lambda: by_sni("c.example"))), [["t1"], ["reset"]]),
        "D2": ([rule(loadBalancer={"simple": "ROUND_ROBIN", "localityLbSetting": {"enabled": False}}), routed({"route": [to()]})], shares, [6, 6]),
        "D15": ([destination_rule("d", "reviews", workloadSelector={"matchLabels": {"app": "tester"}}, trafficPolicy=hashed)], sticky, 1),
        "D15 others": ([destination_rule("d", "reviews", workloadSelector={"matchLabels": {"app": "no"}}, trafficPolicy=hashed), named("epoch", 417, "epoch.example")],
                       lambda: asyncio.gather(code(host="epoch.example"), sticky()), [417, 2]),
        "S3": ([resource("ServiceEntry", "e", {"hosts": ["api.example"], "addresses": [STATIC], "resolution": "STATIC",
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 1}], "endpoints": [{"address": V2, "ports": {"http": 8080}}]})],
               lambda: body(host="api.example", address=STATIC), "v2 / api.example -"),
        "S4": ([resource("ServiceEntry", "e", entry)], lambda: by_sni("a.secure.example", STATIC), "t2"),
        "S5": ([resource("Sidecar", "all", only_db), resource("Sidecar", "mine", {**only_reviews, "workloadSelector": {"labels": {"app": "tester"}}})],
               lambda: asyncio.gather(code(), tcp(DB)), [200, "closed"]),
        "S8": ([resource("Sidecar", "s", {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}})],
               lambda: asyncio.gather(code(), code(host="nobody.example")), [200, 502]),
    }  # fmt: skip
