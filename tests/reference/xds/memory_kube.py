"""An in-memory stand-in for the Kubernetes client: objects in, watch events out. No schema, no selectors but the name."""

from __future__ import annotations

import asyncio
import base64
import copy
import itertools
from typing import Any

from mesh_reference.errors import Conflict, NotFound
from mesh_reference.kube import resources
from mesh_reference.kube.resources import Resource
from mesh_reference.kube.watching import Event

Json = dict[str, Any]
BY_KIND = {value.kind: value for value in vars(resources).values() if isinstance(value, Resource)}


class MemoryKube:
    """The calls of ``Kube`` that the control plane makes."""

    def __init__(self, *objects: Json) -> None:
        self._objects: dict[tuple[str, str, str], Json] = {}
        self._watchers: list[tuple[str, str, asyncio.Queue[Event]]] = []
        self._versions = itertools.count(1)
        self.tokens: dict[str, Json] = {}
        for obj in objects:
            self.put(obj)

    def put(self, obj: Json) -> Json:
        """Create or change, and tell the watchers."""
        resource = BY_KIND[obj["kind"]]
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        key = (resource.plural, metadata.get("namespace", ""), metadata["name"])
        old = self._objects.get(key)
        metadata["resourceVersion"] = str(next(self._versions))
        metadata["uid"] = old["metadata"]["uid"] if old else f"uid-{metadata['resourceVersion']}"
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self._objects[key] = obj
        self._tell(key, Event("upsert", obj))
        return obj

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        key = (BY_KIND[kind].plural, namespace, name)
        self._tell(key, Event("delete", self._objects.pop(key)))

    def _tell(self, key: tuple[str, str, str], event: Event) -> None:
        for plural, name, queue in self._watchers:
            if plural == key[0] and name in {"", key[2]}:
                queue.put_nowait(event)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json:
        try:
            return copy.deepcopy(self._objects[resource.plural, namespace or "", name])
        except KeyError:
            raise NotFound(f"{resource.kind} {namespace}/{name}", status=404) from None

    async def create(self, resource: Resource, obj: Json) -> Json:
        key = (resource.plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        if key in self._objects:
            raise Conflict("exists", status=409)
        return self.put({**obj, "kind": resource.kind})

    async def replace(self, resource: Resource, obj: Json) -> Json:
        known = self._objects.get((resource.plural, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
        version = obj["metadata"].get("resourceVersion")
        if known is not None and version not in {None, known["metadata"]["resourceVersion"]}:
            raise Conflict("changed", status=409)
        return self.put({**obj, "kind": resource.kind})

    async def watch(self, resource: Resource, _namespace: str | None = None, *, field_selector: str = ""):
        name = field_selector.removeprefix("metadata.name=")
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._watchers.append((resource.plural, name, queue))
        for (plural, _namespace, found), obj in list(self._objects.items()):
            if plural == resource.plural and name in {"", found}:
                queue.put_nowait(Event("upsert", obj))
        queue.put_nowait(Event("synced", {}))
        while True:
            yield await queue.get()

    async def get_root(self) -> str:
        """The mesh's root certificate, from where the control plane keeps it."""
        secret = await self.get(resources.SECRETS, "istio-ca-secret", "istio-system")
        return base64.b64decode(secret["data"]["ca-cert.pem"]).decode()

    async def token_review(self, token: str, _audiences: list[str]) -> Json:
        return self.tokens.get(token, {"authenticated": False, "error": "unknown"})


def account(namespace: str, name: str, pod: str = "") -> Json:
    """A TokenReview status that proves a service account."""
    extra = {"authentication.kubernetes.io/pod-name": [pod]} if pod else {}
    return {
        "authenticated": True,
        "audiences": ["istio-ca"],
        "user": {
            "username": f"system:serviceaccount:{namespace}:{name}",
            "groups": ["system:serviceaccounts"],
            "extra": extra,
        },
    }


def service(name: str, ip: str, ports: list[Json] | None = None, namespace: str = "shop") -> Json:
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "ports": ports or [{"name": "http", "port": 80, "targetPort": 8080}]},
    }


def endpoint_slice(
    service_name: str, addresses: list[str], port: int = 8080, port_name: str = "http", namespace: str = "shop"
) -> Json:
    return {
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service_name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service_name},
        },
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


def pod(name: str, ip: str, labels: dict[str, str], account_name: str = "default", namespace: str = "shop") -> Json:
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"serviceAccountName": account_name},
        "status": {"podIP": ip, "phase": "Running"},
    }


def virtual_service(name: str, hosts: list[str], http: list[Json], namespace: str = "shop", **spec: Any) -> Json:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": hosts, "http": http, **spec},
    }


def destination_rule(
    name: str, host: str, subsets: dict[str, dict[str, str]] | None = None, namespace: str = "shop", **spec: Any
) -> Json:
    found = [{"name": subset, "labels": labels} for subset, labels in (subsets or {}).items()]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"host": host, "subsets": found, **spec},
    }


def resource(kind: str, name: str, spec: Json, namespace: str = "shop", **metadata: Any) -> Json:
    """Any other resource of Istio."""
    return {
        "apiVersion": f"{BY_KIND[kind].group}/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def node(name: str, region: str, zone: str) -> Json:
    labels = {"topology.kubernetes.io/region": region, "topology.kubernetes.io/zone": zone}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}}
