"""The Job controller: carries out what ``job_plan`` decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers import job_plan
from pytest_mesh.clusters.local.controllers.objects import controller_of, is_being_deleted
from pytest_mesh.clusters.local.controllers.owned_pods import OwnedPods, StatusWriter
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json


class JobController:
    """Keeps the Pods of every Job."""

    def __init__(self, client: ApiClient, *, jobs: Informer, pods: Informer, events: EventRecorder) -> None:
        self._client = client
        self._jobs = jobs
        self._every_pod = pods
        self._pods = OwnedPods(client, pods=pods, owners=jobs, kind="Job", events=events, component="job-controller")
        self._statuses = StatusWriter(client, jobs, group_version="batch/v1", plural="jobs")
        self._queue = WorkQueue("jobs", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._jobs.subscribe(lambda old, new: self._queue.add(key_of(new or old or {})))
        self._pods.wake(self._queue)
        await self._queue.run()

    async def _reconcile(self, key: Key) -> float | None:
        job = self._jobs.get(key)
        await self._release_orphans(key, job)
        if job is None:
            return None
        pods = await self._pods.claimed(job)
        decision = job_plan.plan(job, pods, datetime.now(UTC))
        if decision.remove:
            options: Json = {
                "kind": "DeleteOptions",
                "apiVersion": "v1",
                "propagationPolicy": "Background",
                "preconditions": {"uid": job["metadata"]["uid"]},
            }
            await self._client.delete(self._statuses.path(key), options)
            return None
        if decision.uncounted:
            status = {**(job.get("status") or {}), "uncountedTerminatedPods": decision.uncounted}
            job = await self._statuses.write(job, status)
        for pod in pods:
            if pod["metadata"]["name"] in decision.counted:
                await self._release(pod)
        refused = await self._pods.carry_out(job, decision.create, decision.delete)
        status = decision.status
        if refused:
            held = self._pods.held(job)
            active = sum((pod.get("status") or {}).get("phase") in {None, "Pending", "Running"} for pod in held)
            status = {**status, "active": active}
        before = {entry["type"] for entry in (job.get("status") or {}).get("conditions") or ()}
        job = await self._statuses.write(job, status)
        for entry in status.get("conditions") or ():
            if entry["type"] in before:
                continue
            if entry["type"] == "Failed":
                self._pods.say(job, "Warning", entry["reason"], entry["message"])
            elif entry["type"] == "Complete":
                self._pods.say(job, "Normal", "Completed", "Job completed")
            elif entry["type"] == "Suspended":
                self._pods.say(job, "Normal", "Suspended", entry["message"])
        return 0.5 if refused else decision.again

    async def _release_orphans(self, key: Key, job: Json | None) -> None:
        """Take the finalizer from Pods of a Job that is gone, so that they may go as well."""
        for pod in self._every_pod.within(key[0]):
            owner = controller_of(pod)
            if (
                owner is not None
                and (owner["kind"], owner["name"]) == ("Job", key[1])
                and (job is None or job["metadata"]["uid"] != owner["uid"] or is_being_deleted(job))
            ):
                await self._release(pod)

    async def _release(self, pod: Json) -> None:
        finalizers = list(pod["metadata"].get("finalizers") or ())
        if job_plan.FINALIZER not in finalizers:
            return
        finalizers.remove(job_plan.FINALIZER)
        try:
            await self._pods.change(pod, {"metadata": {"finalizers": finalizers}})
        except ApiError as error:
            if error.status != 404:
                raise
