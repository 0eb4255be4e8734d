"""The Deployment controller: carries out what ``deployment_plan`` decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers import deployment_plan
from pytest_mesh.clusters.local.controllers.objects import (
    controller_of,
    is_being_deleted,
    labels_of,
    matches_selector,
    owner_reference,
)
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json


class DeploymentController:
    """Keeps the ReplicaSets of every Deployment."""

    def __init__(
        self, client: ApiClient, *, deployments: Informer, replica_sets: Informer, events: EventRecorder
    ) -> None:
        self._client = client
        self._events = events
        self._deployments = deployments
        self._replica_sets = replica_sets
        self._queue = WorkQueue("deployments", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._deployments.subscribe(self._changed)
        self._replica_sets.subscribe(self._replica_set_changed)
        await self._queue.run()

    def _changed(self, old: Json | None, new: Json | None) -> None:
        self._queue.add(key_of(new or old or {}))

    def _replica_set_changed(self, old: Json | None, new: Json | None) -> None:
        for item in (old, new):
            owner = controller_of(item) if item is not None else None
            if item is not None and owner is not None and owner["kind"] == "Deployment":
                self._queue.add((item["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: Key) -> float | None:
        deployment = self._deployments.get(key)
        if deployment is None:
            return None
        owned = await self._owned(deployment)
        decision = deployment_plan.plan(deployment, owned, datetime.now(UTC))
        collection = f"/apis/apps/v1/namespaces/{key[0]}/replicasets"
        collided = decision.create is not None and not await self._created(collection, decision.create, deployment)
        sizes = {item["metadata"]["name"]: int(item["spec"].get("replicas", 1)) for item in owned}
        for name, size in decision.scale.items():
            self._replica_sets.absorb(await self._client.patch(f"{collection}/{name}", {"spec": {"replicas": size}}))
            self._tell(deployment, name, sizes[name], size)
        for name, missing in decision.annotate.items():
            body = {"metadata": {"annotations": dict(missing)}}
            self._replica_sets.absorb(await self._client.patch(f"{collection}/{name}", body))
        for name in decision.delete:
            await self._client.delete(f"{collection}/{name}", propagationPolicy="Background")
        status = decision.status
        if collided:
            status = {**status, "collisionCount": (status.get("collisionCount") or 0) + 1}
        await self._write(deployment, status, decision.revision)
        return None if decision.again is None else max(0.05, decision.again)

    async def _created(self, collection: str, replica_set: Json, deployment: Json) -> bool:
        """Create the ReplicaSet; False when another one has its name, so that another hash is needed."""
        try:
            self._replica_sets.absorb(await self._client.create(collection, replica_set))
            if size := replica_set["spec"].get("replicas", 1):
                self._tell(deployment, replica_set["metadata"]["name"], 0, size)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            existing = await self._client.get(f"{collection}/{replica_set['metadata']['name']}")
            self._replica_sets.absorb(existing)
            owner = controller_of(existing)
            return owner is not None and owner["uid"] == deployment["metadata"]["uid"]
        return True

    def _tell(self, deployment: Json, name: str, before: int, after: int) -> None:
        if before != after:
            way = "up" if after > before else "down"
            message = f"Scaled {way} replica set {name} from {before} to {after}"
            self._events.record(
                {**deployment, "kind": "Deployment", "apiVersion": "apps/v1"},
                "Normal",
                "ScalingReplicaSet",
                message,
                component="deployment-controller",
            )

    async def _owned(self, deployment: Json) -> list[Json]:
        """Give the ReplicaSets under this Deployment's control, after adopting orphans that it selects."""
        metadata = deployment["metadata"]
        owned = []
        for item in self._replica_sets.within(metadata["namespace"]):
            owner = controller_of(item)
            if owner is not None:
                if owner["uid"] == metadata["uid"]:
                    owned.append(item)
            elif (
                not is_being_deleted(deployment)
                and not is_being_deleted(item)
                and matches_selector(deployment["spec"]["selector"], labels_of(item))
            ):
                adopted = await self._client.patch(
                    f"/apis/apps/v1/namespaces/{metadata['namespace']}/replicasets/{item['metadata']['name']}",
                    {
                        "metadata": {
                            "resourceVersion": item["metadata"]["resourceVersion"],
                            "ownerReferences": [
                                *(item["metadata"].get("ownerReferences") or ()),
                                owner_reference(deployment),
                            ],
                        }
                    },
                )
                self._replica_sets.absorb(adopted)
                owned.append(adopted)
        return owned

    async def _write(self, deployment: Json, status: Json, revision: str) -> None:
        namespace, name = key_of(deployment)
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        metadata = deployment["metadata"]
        annotations = metadata.get("annotations") or {}
        changed = _significant(deployment.get("status") or {}) != _significant(status)
        if revision and annotations.get(deployment_plan.REVISION) != revision:
            # Written with the status, so that the annotation is no new generation.
            metadata = {**metadata, "annotations": {**annotations, deployment_plan.REVISION: revision}}
            changed = True
        if changed:
            written = {**deployment, "metadata": metadata, "status": status}
            self._deployments.absorb(await self._client.replace(f"{path}/status", written))


def _significant(status: Json) -> Json:
    """Give the status without counts of 0, which a server may drop."""
    return {name: value for name, value in status.items() if value}
