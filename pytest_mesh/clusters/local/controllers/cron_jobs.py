"""The CronJob controller: makes a Job at each time of the schedule, and keeps its history short.

:func:`plan` decides (pure): as kube-controller-manager does it, of several
missed times only the last one counts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError, key_of
from pytest_mesh.clusters.local.controllers.job_plan import is_finished
from pytest_mesh.clusters.local.controllers.objects import (
    condition,
    controller_of,
    format_time,
    is_being_deleted,
    owner_reference,
    parse_time,
)
from pytest_mesh.clusters.local.controllers.owned_pods import StatusWriter, controls
from pytest_mesh.clusters.local.controllers.schedules import Schedule
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_MANY_MISSED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do."""

    create: Json | None = None
    delete: tuple[str, ...] = ()
    status: Json
    again: float | None = None
    problem: str = ""
    """Why nothing is made (an event's text)."""


def plan(cron_job: Json, jobs: Sequence[Json], now: datetime) -> Plan:
    """Decide over the Jobs that this CronJob controls."""
    spec, old = cron_job["spec"], cron_job.get("status") or {}
    active = [job for job in jobs if not is_finished(job)]
    delete = _history(spec, jobs)
    successes = [job["status"]["completionTime"] for job in jobs if _has(job, "Complete")]
    status: Json = {"active": [_reference(job) for job in active]}
    for name, value in (
        ("lastScheduleTime", old.get("lastScheduleTime")),
        ("lastSuccessfulTime", max([*successes, *filter(None, [old.get("lastSuccessfulTime")])], default=None)),
    ):
        if value:
            status[name] = value
    if is_being_deleted(cron_job) or spec.get("suspend"):
        return Plan(delete=delete, status=status)
    try:
        schedule = Schedule.read(spec["schedule"], spec.get("timeZone") or "UTC")
    except (ValueError, KeyError) as error:
        return Plan(delete=delete, status=status, problem=f"unparseable schedule {spec['schedule']!r}: {error}")
    since = parse_time(old.get("lastScheduleTime") or cron_job["metadata"]["creationTimestamp"])
    patience = spec.get("startingDeadlineSeconds")
    if patience is not None:
        since = max(since, now - timedelta(seconds=patience))
    due, problem = _last_due(schedule, since, now)
    coming = schedule.after(now)
    again = None if coming is None else (coming - now).total_seconds() + 0.05
    if due is None:
        return Plan(delete=delete, status=status, again=again, problem=problem)
    name = f"{cron_job['metadata']['name']}-{int(due.timestamp()) // 60}"
    concurrency = spec.get("concurrencyPolicy", "Allow")
    if any(job["metadata"]["name"] == name for job in jobs):
        return Plan(delete=delete, status={**status, "lastScheduleTime": format_time(due)}, again=again)
    if concurrency == "Forbid" and active:
        return Plan(delete=delete, status=status, again=again)
    if concurrency == "Replace":
        delete = (*delete, *(job["metadata"]["name"] for job in active))
    return Plan(
        create=new_job(cron_job, name, due),
        delete=tuple(dict.fromkeys(delete)),
        status={**status, "lastScheduleTime": format_time(due)},
        again=again,
        problem=problem,
    )


def new_job(cron_job: Json, name: str, due: datetime) -> Json:
    """Give the Job for one time of the schedule."""
    template = cron_job["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": cron_job["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": {**(metadata.get("annotations") or {}), _SCHEDULED: format_time(due)},
            "ownerReferences": [owner_reference(cron_job)],
        },
        "spec": template["spec"],
    }


def _last_due(schedule: Schedule, since: datetime, now: datetime) -> tuple[datetime | None, str]:
    due, missed, at = None, 0, schedule.after(since)
    while at is not None and at <= now:
        due, missed = at, missed + 1
        if missed > _MANY_MISSED:
            # The distance of the last ones leads to the present without counting each.
            at = max(at, now - (at - since) / missed * 2)
        at = schedule.after(at)
    return due, f"too many missed start times ({missed})" if missed > _MANY_MISSED else ""


def _history(spec: Json, jobs: Sequence[Json]) -> tuple[str, ...]:
    delete: list[str] = []
    for kind, name, absent in (("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)):
        ended = sorted(
            (job for job in jobs if _has(job, kind)),
            key=lambda job: (job["status"].get("startTime") or "", job["metadata"]["name"]),
        )
        delete += [job["metadata"]["name"] for job in ended[: max(0, len(ended) - spec.get(name, absent))]]
    return tuple(delete)


def _has(job: Json, kind: str) -> bool:
    entry = condition(job, kind)
    return entry is not None and entry["status"] == "True"


def _reference(job: Json) -> Json:
    metadata = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "uid": metadata["uid"],
        "resourceVersion": metadata["resourceVersion"],
    }


class CronJobController:
    """Keeps the Jobs of every CronJob."""

    def __init__(self, client: ApiClient, *, cron_jobs: Informer, jobs: Informer, events: EventRecorder) -> None:
        self._client = client
        self._cron_jobs = cron_jobs
        self._jobs = jobs
        self._events = events
        self._statuses = StatusWriter(client, cron_jobs, group_version="batch/v1", plural="cronjobs")
        self._queue = WorkQueue("cronjobs", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._cron_jobs.subscribe(lambda old, new: self._queue.add(key_of(new or old or {})))
        self._jobs.subscribe(self._job_changed)
        await self._queue.run()

    def _job_changed(self, old: Json | None, new: Json | None) -> None:
        job = new or old or {}
        owner = controller_of(job)
        if owner is not None and owner["kind"] == "CronJob":
            self._queue.add((job["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: Key) -> float | None:
        cron_job = self._cron_jobs.get(key)
        if cron_job is None:
            return None
        held = [job for job in self._jobs.within(key[0]) if controls(cron_job, job)]
        decision = plan(cron_job, held, datetime.now(UTC))
        collection = f"/apis/batch/v1/namespaces/{key[0]}/jobs"
        if decision.problem:
            self._say(cron_job, "InvalidSchedule", decision.problem)
        for name in decision.delete:
            try:
                await self._client.delete(f"{collection}/{name}", propagationPolicy="Background")
            except ApiError as error:
                if error.status != 404:
                    raise
        status = decision.status
        if decision.create is not None:
            try:
                made = await self._client.create(collection, decision.create)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    self._say(cron_job, "FailedCreate", f"Error creating job: {error.message}")
                    raise
            else:
                self._jobs.absorb(made)
                status = {**status, "active": [*status["active"], _reference(made)]}
                name = made["metadata"]["name"]
                self._events.record(
                    cron_job, "Normal", "SuccessfulCreate", f"Created job {name}", component="cronjob-controller"
                )
        await self._statuses.write(cron_job, status)
        return decision.again

    def _say(self, cron_job: Json, reason: str, message: str) -> None:
        self._events.record(cron_job, "Warning", reason, message, component="cronjob-controller")
