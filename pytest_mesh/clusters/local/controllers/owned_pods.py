"""The Pods under one object's control: adopting, releasing, creating and deleting them.

The same for every kind that has a selector and makes Pods. It does not decide
how many there are to be, nor when.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Literal

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers.objects import (
    controller_of,
    is_being_deleted,
    labels_of,
    matches_selector,
    owner_reference,
    pod_is_over,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)


def controls(owner: Json, item: Json) -> bool:
    """Tell whether ``item`` is under the control of ``owner`` (and of no former object of that name)."""
    reference = controller_of(item)
    return reference is not None and reference["uid"] == owner["metadata"]["uid"]


def pod_of(owner: Json, template: Json, **metadata: object) -> Json:
    """Give a Pod of the template under the owner's control; ``metadata`` = name or generateName, and what replaces."""
    carried = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(carried.get("labels") or {}),
            "annotations": dict(carried.get("annotations") or {}),
            "finalizers": list(carried.get("finalizers") or ()),
            "ownerReferences": [owner_reference(owner)],
            **metadata,
        },
        "spec": template["spec"],
    }


class OwnedPods:
    """The Pods of one kind of owner, over the shared cache."""

    def __init__(
        self,
        client: ApiClient,
        *,
        pods: Informer,
        owners: Informer,
        kind: str,
        events: EventRecorder,
        component: str,
        member: Callable[[Json, Json], bool] = lambda _owner, _pod: True,
    ) -> None:
        self._client = client
        self._pods = pods
        self._owners = owners
        self._kind = kind
        self._events = events
        self._component = component
        self._member = member
        """Says which Pods with fitting labels may be adopted (a StatefulSet's by their names)."""

    def wake(self, queue: WorkQueue) -> None:
        """Have ``queue`` look at each owner that a change of a Pod may concern."""

        def changed(old: Json | None, new: Json | None) -> None:
            for pod in (old, new):
                if pod is None:
                    continue
                namespace = pod["metadata"]["namespace"]
                owner = controller_of(pod)
                if owner is None:
                    for candidate in self._owners.within(namespace):
                        if matches_selector(candidate["spec"].get("selector") or {}, labels_of(pod)):
                            queue.add(key_of(candidate))
                elif owner["kind"] == self._kind:
                    queue.add((namespace, owner["name"]))

        self._pods.subscribe(changed)

    def held(self, owner: Json) -> list[Json]:
        """Give the Pods under this owner's control, as the cache has them."""
        return [pod for pod in self._pods.within(owner["metadata"]["namespace"]) if controls(owner, pod)]

    async def claimed(self, owner: Json) -> list[Json]:
        """Give the Pods under this owner's control, after adopting strays and releasing those that left."""
        selector = owner["spec"]["selector"]
        result = []
        for pod in self._pods.within(owner["metadata"]["namespace"]):
            if controls(owner, pod):
                if matches_selector(selector, labels_of(pod)) or is_being_deleted(owner):
                    result.append(pod)
                elif not is_being_deleted(pod):
                    await self._set_owners(pod, owner, own=False)
            elif (
                controller_of(pod) is None
                and not is_being_deleted(pod)
                and not pod_is_over(pod)
                and not is_being_deleted(owner)
                and matches_selector(selector, labels_of(pod))
                and self._member(owner, pod)
            ):
                result.append(await self._set_owners(pod, owner, own=True))
        return result

    async def carry_out(self, owner: Json, create: Iterable[Json], delete: Iterable[str]) -> str:
        """Create these Pods and delete those, all at once; gives what the API refused, which is logged, or nothing."""
        refused = ""
        try:
            async with asyncio.TaskGroup() as group:
                for pod in create:
                    group.create_task(self.create(owner, pod))
                for name in delete:
                    group.create_task(self.delete(owner, name))
        except* ApiError as errors:
            refused = str(errors.exceptions[0])
            log.warning("%s %s/%s: %s", self._kind, *key_of(owner), refused)
        return refused

    async def create(self, owner: Json, pod: Json) -> Json:
        """Create a Pod; ApiError when the API refuses it, with an event on the owner."""
        namespace = owner["metadata"]["namespace"]
        try:
            made = await self._client.create(f"/api/v1/namespaces/{namespace}/pods", pod)
        except ApiError as error:
            if error.status not in {0, 404, 409} or error.reason == "AlreadyExists":
                self.say(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._pods.absorb(made)
        self.say(owner, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        return made

    async def delete(self, owner: Json, name: str) -> None:
        """Delete a Pod of this owner's; nothing happens when it is gone or going."""
        namespace = owner["metadata"]["namespace"]
        try:
            answer = await self._client.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        except ApiError as error:
            if error.status != 404:
                raise
            return
        if answer.get("kind") == "Pod" and is_being_deleted(answer):
            self._pods.absorb(answer)
        self.say(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

    async def change(self, pod: Json, change: Json) -> Json:
        """Merge ``change`` into a Pod, if it is still in the version that is known."""
        namespace, name = key_of(pod)
        metadata = {
            "uid": pod["metadata"]["uid"],
            "resourceVersion": pod["metadata"]["resourceVersion"],
            **(change.get("metadata") or {}),
        }
        answer = await self._client.patch(
            f"/api/v1/namespaces/{namespace}/pods/{name}", {**change, "metadata": metadata}
        )
        self._pods.absorb(answer)
        return answer

    def say(self, owner: Json, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        """Record an event about the owner."""
        self._events.record(owner, kind, reason, message, component=self._component)

    async def _set_owners(self, pod: Json, owner: Json, *, own: bool) -> Json:
        uid = owner["metadata"]["uid"]
        owners = [entry for entry in pod["metadata"].get("ownerReferences") or () if entry["uid"] != uid]
        if own:
            owners.append(owner_reference(owner))
        return await self.change(pod, {"metadata": {"ownerReferences": owners}})


class StatusWriter:
    """Writes the statuses of one kind, where they differ from what is known."""

    def __init__(self, client: ApiClient, owners: Informer, *, group_version: str, plural: str) -> None:
        self._client = client
        self._owners = owners
        self._base = f"/apis/{group_version}/namespaces"
        self._plural = plural

    def path(self, key: Key) -> str:
        """Give the object's path."""
        return f"{self._base}/{key[0]}/{self._plural}/{key[1]}"

    async def write(self, owner: Json, status: Json) -> Json:
        """Replace the status; gives the object as it then is. ApiError 409 when the object has changed since."""
        old = owner.get("status") or {}
        if same_status(old, status):
            return owner
        answer = await self._client.replace(f"{self.path(key_of(owner))}/status", {**owner, "status": status})
        self._owners.absorb(answer)
        return answer


def same_status(old: Json, new: Json) -> bool:
    """Compare statuses; an absent count is 0."""
    return all((old.get(name) or 0) == (new.get(name) or 0) for name in {*old, *new})
