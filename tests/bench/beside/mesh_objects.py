"""The mesh of the comparison, written through the Kubernetes API, and the changes that are made to it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

Json = dict[str, Any]
NAMESPACE = "bench"
LANES = 8
CORE, ISTIO = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


class Api:
    """The API server, asked as the administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self._session = aiohttp.ClientSession(
            cluster["server"],
            headers={"Authorization": f"Bearer {user['token']}"},
            connector=aiohttp.TCPConnector(ssl=context),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, method: str, path: str, body: Json, kind: str = "application/json") -> None:
        """Anything but success is an error."""
        async with self._session.request(method, path, json=body, headers={"Content-Type": kind}) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text[:300]}"

    async def patch(self, path: str, body: Json) -> None:
        await self.send("PATCH", path, body, "application/merge-patch+json")


class Mesh:
    """``services`` Services of two endpoints each, every one with a DestinationRule of two subsets and a VirtualService."""

    def __init__(self, api: Api, services: int) -> None:
        self._api = api
        self.services = services
        self._changes = 0

    async def create(self, crds: list[Json]) -> None:
        for name in (NAMESPACE, "istio-system"):
            await self._api.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        # No controller runs here that would make it.
        await self._api.send("POST", f"{CORE}/serviceaccounts", {"metadata": {"name": "default"}})
        for crd in crds:
            await self._api.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
        numbers = iter(range(self.services))

        async def lane() -> None:
            for number in numbers:
                await self._create_service(number)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(LANES):
                tasks.create_task(lane())

    async def _create_service(self, number: int) -> None:
        name = f"svc-{number}"
        for version, address in zip(("v1", "v2"), addresses(number), strict=True):
            pod = f"{name}-{version}"
            await self._api.send("POST", f"{CORE}/pods", {
                "metadata": meta(pod, {"app": name, "version": version}),
                "spec": {"containers": [{"name": "app", "image": "none"}]},
            })  # fmt: skip
            # Subset labels reach the endpoints through the pod of an address, which is part of its status.
            await self._api.patch(f"{CORE}/pods/{pod}/status", {"status": {
                "phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}],
            }})  # fmt: skip
        await self.new_service(name)
        await self._api.send("POST", SLICES, {
            "metadata": meta(name, {"kubernetes.io/service-name": name}), "addressType": "IPv4",
            "endpoints": endpoints(number), "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        })  # fmt: skip
        await self._api.send("POST", f"{ISTIO}/destinationrules", {
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": meta(name, {}),
            "spec": {"host": host(name), "subsets": [{"name": one, "labels": {"version": one}} for one in ("v1", "v2")]},
        })  # fmt: skip
        await self._api.send("POST", f"{ISTIO}/virtualservices", {
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": meta(name, {}),
            "spec": routes(name, 80),
        })  # fmt: skip

    async def new_service(self, name: str) -> None:
        await self._api.send("POST", f"{CORE}/services", {
            "metadata": meta(name, {}),
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        })  # fmt: skip

    async def weigh(self, number: int, weight: int) -> None:
        """Give a Service's first subset that weight (1 to 99)."""
        await self._api.patch(f"{ISTIO}/virtualservices/svc-{number}", {"spec": routes(f"svc-{number}", weight)})

    async def add_endpoint(self, number: int, address: str) -> None:
        body = {"endpoints": [*endpoints(number), {"addresses": [address], "conditions": {"ready": True}}]}
        await self._api.patch(f"{SLICES}/svc-{number}", body)


def host(name: str) -> str:
    return f"{name}.{NAMESPACE}.svc.cluster.local"


def addresses(number: int) -> list[str]:
    return [f"10.{20 + number // 25000}.{number // 100 % 250}.{number % 100 * 2 + one + 1}" for one in (0, 1)]


def meta(name: str, labels: dict[str, str]) -> Json:
    return {"name": name, "namespace": NAMESPACE, "labels": labels}


def endpoints(number: int) -> list[Json]:
    return [
        {
            "addresses": [address],
            "conditions": {"ready": True},
            "targetRef": {"kind": "Pod", "name": f"svc-{number}-{version}", "namespace": NAMESPACE},
        }
        for version, address in zip(("v1", "v2"), addresses(number), strict=True)
    ]


def routes(name: str, weight: int) -> Json:
    shares = (("v1", weight), ("v2", 100 - weight))
    return {
        "hosts": [host(name)],
        "http": [
            {
                "route": [
                    {"destination": {"host": host(name), "subset": subset}, "weight": share} for subset, share in shares
                ]
            }
        ],
    }


def weighted_cluster(name: str, weight: int) -> bytes:
    """How a route holds the first subset's weight: ``WeightedCluster.ClusterWeight`` as serialized."""
    cluster = f"outbound|80|v1|{host(name)}".encode()
    return b"\x0a" + bytes([len(cluster)]) + cluster + b"\x12\x02\x08" + bytes([weight])
