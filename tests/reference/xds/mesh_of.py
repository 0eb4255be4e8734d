"""Snapshots from plain objects, and what one proxy is told of them, as dicts."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from memory_kube import BY_KIND

from mesh_reference.kube.watching import Event
from mesh_reference.model.proxies import Proxy
from mesh_reference.settings import Settings
from mesh_reference.store.index import MeshIndex
from mesh_reference.xds.configuration import Configuration
from mesh_reference.xds.resources import CLUSTER, ENDPOINT, LISTENER, ROUTE

Json = dict[str, Any]
CLIENT = Proxy(id="tester-1.shop", namespace="shop", address="10.244.0.20", service_account="tester", labels={"app": "t"})  # fmt: skip


def index_of(*objects: Json) -> MeshIndex:
    index = MeshIndex("cluster.local")
    for number, obj in enumerate(objects):
        add(index, obj, number)
    return index


def add(index: MeshIndex, obj: Json, number: int = 0) -> Any:
    """Apply one object; ages follow ``number`` where the object has no creation time."""
    metadata = {
        "creationTimestamp": f"2026-01-01T00:{number % 60:02}:00Z",
        "uid": obj["metadata"]["name"],
        **obj["metadata"],
    }
    return index.apply(BY_KIND[obj["kind"]], Event("upsert", {**obj, "metadata": metadata}))


def configuration(*objects: Json, settings: Settings | None = None) -> Configuration:
    index = index_of(*objects)
    assert not any(not item.served for found in index.problems.values() for item in found), index.problems
    return Configuration(index.snapshot(), settings or Settings())


def cluster(config: Configuration, name: str, proxy: Proxy = CLIENT) -> Json:
    return json_format.MessageToDict(config.all_of(CLUSTER, proxy)[name].body)


def clusters(config: Configuration, proxy: Proxy = CLIENT) -> set[str]:
    return set(config.all_of(CLUSTER, proxy))


def listener(config: Configuration, name: str, proxy: Proxy = CLIENT) -> Json:
    return json_format.MessageToDict(config.all_of(LISTENER, proxy)[name].body)


def listeners(config: Configuration, proxy: Proxy = CLIENT) -> set[str]:
    return set(config.all_of(LISTENER, proxy))


def hosts(config: Configuration, route: str = "80", proxy: Proxy = CLIENT) -> dict[str, Json]:
    """Virtual hosts of a route configuration, by name."""
    body = config.named(ROUTE, proxy, [route])[route].body
    return {host["name"]: host for host in json_format.MessageToDict(body)["virtualHosts"]}


def routes(config: Configuration, host: str, route: str = "80", proxy: Proxy = CLIENT) -> list[Json]:
    found: list[Json] = hosts(config, route, proxy)[host]["routes"]
    return found


def addresses(config: Configuration, name: str, proxy: Proxy = CLIENT) -> list[str]:
    body = json_format.MessageToDict(config.named(ENDPOINT, proxy, [name])[name].body)
    return [
        item["endpoint"]["address"]["socketAddress"]["address"]
        for locality in body.get("endpoints", [])
        for item in locality["lbEndpoints"]
    ]
