"""The controllers as clients of two API servers, the embedded one and a real kube-apiserver, beside a node that only says so.

The real one where MESH_KUBE_APISERVER and MESH_ETCD name the programs. No pod runs here: a stand-in for the kubelet binds
Pods, calls them Ready (or ended, where a Job made them) and confirms deletions. `make controllers-live`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "differential"))

from embedded import embedded
from real_server import kube_apiserver

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError
from pytest_mesh.clusters.local.controllers import run as run_controllers

APPS, BATCH, CORE = (
    "/apis/apps/v1/namespaces/default",
    "/apis/batch/v1/namespaces/default",
    "/api/v1/namespaces/default",
)
SECONDS = 60.0

# The client's TLS connections end with the loop, some of them unclosed: of no concern to what is judged here.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module", params=["embedded", "real"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        with embedded(folder) as (url, token):
            yield url, token, ""
        return
    if not {"MESH_KUBE_APISERVER", "MESH_ETCD"} <= os.environ.keys():
        pytest.skip("needs MESH_KUBE_APISERVER and MESH_ETCD")
    with kube_apiserver(folder) as (url, token):
        yield url, token, (folder / "certificates/apiserver.crt").read_text()


async def stand_in(client):
    """Do what a kubelet and a scheduler do to Pods, without running them."""
    handled = {}
    async for event in client.watch("/api/v1/pods"):
        if event.type not in {"ADDED", "MODIFIED"}:
            continue
        pod = event.object
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        if metadata.get("deletionTimestamp"):
            if handled.get(metadata["uid"]) != "gone":
                handled[metadata["uid"]] = "gone"
                with contextlib.suppress(ApiError):
                    await client.delete(path, {"gracePeriodSeconds": 0})
        elif metadata["uid"] not in handled:
            handled[metadata["uid"]] = "runs"
            with contextlib.suppress(ApiError):
                target = {"kind": "Node", "apiVersion": "v1", "name": "one"}
                binding = {
                    "kind": "Binding",
                    "apiVersion": "v1",
                    "metadata": {"name": metadata["name"]},
                    "target": target,
                }
                await client.create(f"{path}/binding", binding)
                outcome = (metadata.get("annotations") or {}).get("outcome")
                ready = {"type": "Ready", "status": "False" if outcome else "True"}
                status = {"phase": outcome or "Running", "conditions": [ready]}
                await client.patch(f"{path}/status", {"status": status})


@contextlib.asynccontextmanager
async def world(server):
    """Give a client of a server at which controllers and the stand-in are at work."""
    url, token, ca = server
    async with ApiClient(url, ca, token) as client:
        with contextlib.suppress(ApiError):
            await client.create("/api/v1/nodes", {"metadata": {"name": "one"}})
            # A real server's admission gives a new node the taint of one that is not ready.
            await client.patch("/api/v1/nodes/one", {"spec": {"taints": None}})
        tasks = [asyncio.create_task(run_controllers(client)), asyncio.create_task(stand_in(client))]
        try:
            await until(client, f"{CORE}/serviceaccounts/default", lambda _: True)
            yield client
            assert not [task for task in tasks if task.done()], [task.exception() for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(client, path, condition):
    """Watch one object until ``condition(object)``; give it. None stands for one that is not there."""
    collection, _, name = path.rpartition("/")
    last = None
    try:
        async with asyncio.timeout(SECONDS):
            async for event in client.watch(collection, fieldSelector=f"metadata.name={name}"):
                if event.type == "SYNCED":
                    if last is None and condition is gone:
                        return None
                    continue
                last = None if event.type == "DELETED" else event.object
                if (last is None) if condition is gone else last is not None and condition(last):
                    return last
    except TimeoutError:
        raise AssertionError(f"{path} is not as wanted after {SECONDS:.0f} s: {last}") from None


def gone(_):
    raise AssertionError("it is compared, not called")


def workload(kind, name, **spec):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}}
    whole = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def job(name, outcome="Succeeded", **spec):
    inner = {"restartPolicy": "Never", "containers": [{"name": "a", "image": "x:1"}]}
    template = {"metadata": {"annotations": {"outcome": outcome}}, "spec": inner}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"template": template, **spec}}


def whole(size):
    def done(obj):
        status = obj.get("status") or {}
        return (
            status.get("observedGeneration") == obj["metadata"]["generation"]
            and status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) == status.get("replicas") == size
        )

    return done


def has(kind):
    return lambda obj: any(
        one["type"] == kind and one["status"] == "True" for one in (obj.get("status") or {}).get("conditions") or ()
    )


async def pods(client, **labels):
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    items = await client.list(f"{CORE}/pods", labelSelector=chosen)
    return sorted(items, key=lambda pod: pod["metadata"]["name"])


def test_a_deployment_rolls_out_and_changes(server):
    async def scenario():
        async with world(server) as client:
            await client.create(f"{APPS}/deployments", workload("Deployment", "web", replicas=3))
            await until(client, f"{APPS}/deployments/web", whole(3))
            change = {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}}
            await client.patch(f"{APPS}/deployments/web", change)
            await until(client, f"{APPS}/deployments/web", whole(3))
            assert len(await client.list(f"{APPS}/replicasets")) == 2
            await client.delete(f"{APPS}/deployments/web", propagationPolicy="Background")
            await until(client, f"{APPS}/deployments/web", gone)
            for pod in await pods(client, app="web"):
                await until(client, f"{CORE}/pods/{pod['metadata']['name']}", gone)

    asyncio.run(scenario())


def test_a_stateful_set_rolls_out_updates_and_shrinks(server):
    async def scenario():
        async with world(server) as client:
            path = f"{APPS}/statefulsets/db"
            await client.create(f"{APPS}/statefulsets", workload("StatefulSet", "db", replicas=3, serviceName="db"))
            first = (await until(client, path, whole(3)))["status"]["currentRevision"]
            assert [pod["metadata"]["name"] for pod in await pods(client, app="db")] == ["db-0", "db-1", "db-2"]
            await client.patch(path, {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}})
            done = await until(client, path, whole(3))
            assert done["status"]["currentRevision"] == done["status"]["updateRevision"]
            assert {pod["metadata"]["annotations"]["v"] for pod in await pods(client, app="db")} == {"2"}
            revisions = await client.list(f"{APPS}/controllerrevisions")
            assert sorted(one["revision"] for one in revisions) == [1, 2]
            await client.patch(path, {"spec": {"template": {"metadata": {"annotations": {"v": None}}}}})
            back = await until(client, path, lambda obj: whole(3)(obj) and obj["status"]["currentRevision"] == first)
            assert back["status"]["updateRevision"] == first
            revisions = await client.list(f"{APPS}/controllerrevisions")
            assert sorted((one["revision"], one["metadata"]["name"] == first) for one in revisions) == [
                (2, False),
                (3, True),
            ]
            await client.patch(f"{path}/scale", {"spec": {"replicas": 1}})
            await until(client, path, whole(1))

    asyncio.run(scenario())


def test_a_daemon_set_has_its_pod_and_updates_it(server):
    async def scenario():
        async with world(server) as client:
            path = f"{APPS}/daemonsets/agent"

            def done(obj):
                status = obj.get("status") or {}
                counts = [
                    status.get(name) for name in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
                ]
                return status.get("observedGeneration") == obj["metadata"]["generation"] and counts == [1, 1, 1]

            await client.create(f"{APPS}/daemonsets", workload("DaemonSet", "agent"))
            await until(client, path, done)
            await client.patch(path, {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}})
            await until(client, path, done)
            new = [pod for pod in await pods(client, app="agent") if "deletionTimestamp" not in pod["metadata"]]
            assert [pod["metadata"]["annotations"]["v"] for pod in new] == ["2"]

    asyncio.run(scenario())


def test_jobs_complete_fail_and_go(server):
    async def scenario():
        async with world(server) as client:
            await client.create(f"{BATCH}/jobs", job("good", completions=3, parallelism=2))
            await client.create(f"{BATCH}/jobs", job("bad", "Failed", backoffLimit=0))
            await client.create(f"{BATCH}/jobs", job("ranks", completions=3, parallelism=3, completionMode="Indexed"))
            await client.create(f"{BATCH}/jobs", job("brief", ttlSecondsAfterFinished=1))
            good = await until(client, f"{BATCH}/jobs/good", has("Complete"))
            assert (good["status"]["succeeded"], good["status"]["uncountedTerminatedPods"]) == (3, {})
            bad = await until(client, f"{BATCH}/jobs/bad", has("Failed"))
            assert bad["status"]["conditions"][-1]["reason"] == "BackoffLimitExceeded"
            ranks = await until(client, f"{BATCH}/jobs/ranks", has("Complete"))
            assert ranks["status"]["completedIndexes"] == "0-2"
            await until(client, f"{BATCH}/jobs/brief", gone)
            assert not [pod for pod in await pods(client) if pod["metadata"].get("finalizers")]

    asyncio.run(scenario())


def test_a_cron_job_makes_the_job_of_its_time(server):
    async def scenario():
        async with world(server) as client:
            body = {"schedule": "* * * * *", "jobTemplate": {"spec": job("x")["spec"]}}
            await client.create(f"{BATCH}/cronjobs", {"metadata": {"name": "tick"}, "spec": body})
            # As if a time had been missed: the status is the controller's own memory.
            await client.patch(
                f"{BATCH}/cronjobs/tick/status", {"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}}
            )
            made = await until(
                client, f"{BATCH}/cronjobs/tick", lambda obj: (obj.get("status") or {}).get("lastSuccessfulTime")
            )
            assert made["status"]["lastScheduleTime"] > "2026-01-01T00:00:00Z"
            (one,) = [
                item for item in await client.list(f"{BATCH}/jobs") if item["metadata"]["name"].startswith("tick-")
            ]
            assert one["metadata"]["ownerReferences"][0]["kind"] == "CronJob"

    asyncio.run(scenario())


def test_a_taint_takes_away_what_does_not_tolerate_it(server):
    async def scenario():
        async with world(server) as client:
            toleration = {"key": "k", "operator": "Exists", "effect": "NoExecute"}
            for name, tolerations in (("stays", [toleration]), ("goes", [])):
                spec = {"containers": [{"name": "a", "image": "x:1"}], "tolerations": tolerations}
                await client.create(f"{CORE}/pods", {"metadata": {"name": name}, "spec": spec})
                await until(client, f"{CORE}/pods/{name}", has("Ready"))
            await client.patch("/api/v1/nodes/one", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
            await until(client, f"{CORE}/pods/goes", gone)
            await client.patch("/api/v1/nodes/one", {"spec": {"taints": None}})
            assert "deletionTimestamp" not in (await client.get(f"{CORE}/pods/stays"))["metadata"]

    asyncio.run(scenario())
