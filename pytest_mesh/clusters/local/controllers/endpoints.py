"""The EndpointSlice, Endpoints and mirroring controllers: one loop over Services.

What the objects should say is decided in ``endpoint_sets``; here they are compared with what is there and written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers import endpoint_sets
from pytest_mesh.clusters.local.controllers.objects import format_time, is_being_deleted, labels_of, matches_labels
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.contracts import Json

_TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"
_OURS = {endpoint_sets.CONTROLLER, endpoint_sets.MIRRORING_CONTROLLER}


class EndpointsController:
    """Keeps the EndpointSlices and Endpoints of every Service."""

    def __init__(
        self, client: ApiClient, *, services: Informer, pods: Informer, slices: Informer, endpoints: Informer
    ) -> None:
        self._client = client
        self._services = services
        self._pods = pods
        self._slices = slices
        self._endpoints = endpoints
        self._queue = WorkQueue("endpoints", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._services.subscribe(self._changed)
        self._endpoints.subscribe(self._changed)
        self._slices.subscribe(self._slice_changed)
        self._pods.subscribe(self._pod_changed)
        await self._queue.run()

    def _changed(self, old: Json | None, new: Json | None) -> None:
        self._queue.add(key_of(new or old or {}))

    def _slice_changed(self, old: Json | None, new: Json | None) -> None:
        item = new or old or {}
        service = labels_of(item).get(endpoint_sets.SERVICE_NAME)
        if service and labels_of(item).get(endpoint_sets.MANAGED_BY) in _OURS:
            self._queue.add((item["metadata"]["namespace"], service))

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        pods = [pod for pod in (old, new) if pod is not None]
        for service in self._services.within(pods[0]["metadata"]["namespace"]):
            if endpoint_sets.selects(service) and any(
                matches_labels(service["spec"]["selector"], labels_of(pod)) for pod in pods
            ):
                self._queue.add(key_of(service))

    async def _reconcile(self, key: Key) -> None:
        service = self._services.get(key)
        existing = {
            item["metadata"]["name"]: item
            for item in self._slices.within(key[0])
            if labels_of(item).get(endpoint_sets.SERVICE_NAME) == key[1]
            and labels_of(item).get(endpoint_sets.MANAGED_BY) in _OURS
        }
        endpoints = self._endpoints.get(key)
        if service is None or is_being_deleted(service):
            await self._write_slices(key[0], [], existing)
            if endpoints is not None and service is None:
                await self._delete(f"/api/v1/namespaces/{key[0]}/endpoints/{key[1]}")
        elif endpoint_sets.selects(service):
            pods = self._pods.within(key[0])
            await self._write_slices(key[0], endpoint_sets.slices_for(service, pods), existing)
            await self._write_endpoints(endpoint_sets.endpoints_for(service, pods), endpoints)
        else:
            wanted = self._mirrored(service, endpoints)
            await self._write_slices(key[0], wanted, existing)

    def _mirrored(self, service: Json, endpoints: Json | None) -> list[Json]:
        if endpoints is None or not endpoint_sets.is_mirrored(endpoints):
            return []
        return endpoint_sets.mirrored_slices(service, endpoints)

    async def _write_slices(self, namespace: str, wanted: list[Json], existing: dict[str, Json]) -> None:
        collection = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        keep = {item["metadata"]["name"] for item in wanted}
        for item in wanted:
            old = existing.get(item["metadata"]["name"])
            if old is None:
                self._slices.absorb(await self._client.create(collection, _stamped(item)))
            elif not endpoint_sets.same_content(item, old):
                new = _stamped(item)
                new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
                self._slices.absorb(await self._client.replace(f"{collection}/{item['metadata']['name']}", new))
        for name in existing:
            if name not in keep:
                await self._delete(f"{collection}/{name}")

    async def _write_endpoints(self, wanted: Json, existing: Json | None) -> None:
        namespace, name = key_of(wanted)
        collection = f"/api/v1/namespaces/{namespace}/endpoints"
        if existing is None:
            self._endpoints.absorb(await self._client.create(collection, _stamped(wanted)))
        elif not endpoint_sets.same_content(wanted, existing):
            new = _stamped(wanted)
            new["metadata"]["resourceVersion"] = existing["metadata"]["resourceVersion"]
            self._endpoints.absorb(await self._client.replace(f"{collection}/{name}", new))

    async def _delete(self, path: str) -> None:
        try:
            await self._client.delete(path)
        except ApiError as error:
            if error.status != 404:
                raise


def _stamped(item: Json) -> Json:
    metadata = item["metadata"]
    annotations = {**metadata.get("annotations", {}), _TRIGGER_TIME: format_time(datetime.now(UTC))}
    return {**item, "metadata": {**metadata, "annotations": annotations}}
