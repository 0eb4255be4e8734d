"""Istio's own control plane on the embedded cluster: two istiods, their leases, a dead leader, a watch cache that begins anew.

Nothing of istiod is changed or left out: manifests of ``istioctl manifest generate``, its own webhooks. ``make istiod-local``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

Json = dict[str, Any]

PLACE, NAME = "istio-system", "istiod"
MERGE = "application/merge-patch+json"
LEADER = "control-plane.alpha.kubernetes.io/leader"
"""Annotation of the ConfigMaps by which most of istiod's parts elect."""
WITHIN = 30 + 2 * 16.5
"""Seconds: istiod's lease of 30 s, which a candidate counts from where it saw the last renewal, and looks at every 7.5 to 16.5 s."""
FOLLOWED = 30
"""Seconds for istiod to list anew: client-go pauses 0.8 s before it, and twice as long after each failure of the last two minutes."""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec: {containers: [{name: app, image: pytest-mesh/workload}]}
"""
BAD = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}, weight: -1}]}]}
"""
SUBSETS = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
"""
ROUTE = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: %s}}]}]}
"""


def istiods(kube: Any) -> dict[str, Json]:
    """Pods of istiod that are Ready and stay, by name."""
    found = kube.list(f"/api/v1/namespaces/{PLACE}/pods", labelSelector=f"app={NAME}")
    return {
        pod["metadata"]["name"]: pod for pod in found if not pod["metadata"].get("deletionTimestamp") and ready(pod)
    }


def ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def elections(kube: Any) -> dict[str, Json]:
    """Who holds what: ``holder`` (a Pod's name), ``renewed``, ``turns``; by kind and name."""
    found = {}
    for lease in kube.list(f"/apis/coordination.k8s.io/v1/namespaces/{PLACE}/leases"):
        spec = lease["spec"]
        found[f"Lease {lease['metadata']['name']}"] = (
            spec["holderIdentity"],
            spec["renewTime"],
            spec["leaseTransitions"],
            spec["leaseDurationSeconds"],
        )
    for config_map in kube.list(f"/api/v1/namespaces/{PLACE}/configmaps"):
        if text := config_map["metadata"].get("annotations", {}).get(LEADER):
            note = json.loads(text)
            found[f"ConfigMap {config_map['metadata']['name']}"] = (
                note["holderIdentity"],
                note["renewTime"],
                note["leaderTransitions"],
                note["leaseDurationSeconds"],
            )
    return {
        name: {"holder": holder.partition("_")[0], "renewed": renewed, "turns": turns, "seconds": seconds}
        for name, (holder, renewed, turns, seconds) in found.items()
    }


def holders(kube: Any) -> set[str]:
    return {one["holder"] for one in elections(kube).values()}


def restarts(kube: Any) -> int:
    return sum(one["restartCount"] for pod in istiods(kube).values() for one in pod["status"]["containerStatuses"])


def assert_webhooks_answer(namespace: Any, name: str) -> None:
    """Istio injects a Pod and refuses a VirtualService: both by its own webhooks, both asked of the API server."""
    (pod,) = namespace.apply(POD % name, dry_run=True)
    containers = [one["name"] for kind in ("initContainers", "containers") for one in pod["spec"].get(kind, ())]
    assert "istio-proxy" in containers
    assert "sidecar.istio.io/status" in pod["metadata"]["annotations"]
    said = namespace.assert_refused(BAD, "weight -1 < 0")
    assert 'admission webhook "' in said
    assert 'validation.istio.io" denied the request' in said


def eventually_answer(namespace: Any, name: str) -> float:
    """Seconds until both webhooks answer: the first moments may meet the endpoint of a pod that is gone."""
    began = time.monotonic()

    def answered() -> bool:
        try:
            assert_webhooks_answer(namespace, name)
        except Exception as error:
            if "failed calling webhook" in str(error):
                return False
            raise
        return True

    namespace.eventually(answered, "both webhooks answer", seconds=10)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def two(mesh: Any) -> Iterator[Any]:
    """Istio with two pods of istiod, each Ready."""
    kube, path = mesh.kube, f"/apis/apps/v1/namespaces/{PLACE}/deployments/{NAME}"
    kube.json("PATCH", path, body={"spec": {"replicas": 2}}, content_type=MERGE)
    yield kube
    kube.json("PATCH", path, body={"spec": {"replicas": 1}}, content_type=MERGE)


@pytest.fixture
def kube(two: Any, mesh_namespace: Any) -> Any:
    mesh_namespace.eventually(lambda: len(istiods(two)) == 2, "two istiods Ready", seconds=60)
    mesh_namespace.eventually(
        lambda: holders(two) and holders(two) <= set(istiods(two)), "live leaders", seconds=WITHIN
    )
    return two


def test_each_election_has_one_of_the_two_for_its_leader_and_the_lease_is_renewed(
    kube: Any, mesh_namespace: Any
) -> None:
    before = elections(kube)
    assert any(name.startswith("Lease ") for name in before)
    assert any(name.startswith("ConfigMap ") for name in before)

    def renewed() -> bool:
        after = elections(kube)
        return all(one["renewed"] > before[name]["renewed"] for name, one in after.items() if name in before)

    mesh_namespace.eventually(renewed, "every lease renewed", seconds=30)
    after = elections(kube)
    assert {name: one["holder"] for name, one in after.items()} == {name: one["holder"] for name, one in before.items()}
    print(json.dumps(after))  # noqa: T201
    assert_webhooks_answer(mesh_namespace, "injected")


def test_another_takes_over_from_a_killed_leader_within_the_leases_time(kube: Any, mesh_namespace: Any) -> None:
    before = elections(kube)
    dead = next(iter(before.values()))["holder"]
    led = {name for name, one in before.items() if one["holder"] == dead}
    assert dead in istiods(kube)
    began = time.monotonic()
    kube.delete(f"/api/v1/namespaces/{PLACE}/pods/{dead}", gracePeriodSeconds="0")
    outage = eventually_answer(mesh_namespace, "while-no-leader")

    def taken() -> bool:
        after = elections(kube)
        return all(after[name]["holder"] not in {"", dead} for name in led)

    mesh_namespace.eventually(taken, f"another holder of {sorted(led)}", seconds=WITHIN)
    seconds = time.monotonic() - began
    after = elections(kube)
    print(json.dumps({"took over after": round(seconds, 1), "webhooks after": round(outage, 2), "led": sorted(led)}))  # noqa: T201
    assert all(after[name]["turns"] == before[name]["turns"] + 1 for name in led)
    assert {after[name]["holder"] for name in led} <= set(istiods(kube))
    assert_webhooks_answer(mesh_namespace, "new-leader")
    mesh_namespace.eventually(lambda: len(istiods(kube)) == 2, "two istiods again", seconds=60)


def test_a_watch_cache_that_begins_anew_is_survived_and_followed(kube: Any, mesh: Any, mesh_namespace: Any) -> None:
    mesh_namespace.stand_in("reviews", versions=["v1", "v2"])
    client = mesh_namespace.client("tester")
    mesh_namespace.apply(SUBSETS)
    mesh_namespace.apply(ROUTE % "v1")
    before, restarted, leaders = set(istiods(kube)), restarts(kube), elections(kube)
    followed: list[float] = []
    with client.traffic("http://reviews") as traffic:
        for subset in ("v2", "v1", "v2"):
            version = int(mesh.cluster.reset_watches())
            assert all(int(one["metadata"]["resourceVersion"]) <= version for one in kube.list("/api/v1/services"))
            began = time.monotonic()
            mesh_namespace.apply(ROUTE % subset)
            arrived = partial(arrives, client, "http://reviews", subset)
            mesh_namespace.eventually(arrived, f"the route to {subset}", seconds=FOLLOWED)
            followed.append(round(time.monotonic() - began, 1))
    print(json.dumps({"resets": len(followed), "followed after": followed, "answered": traffic.answered}))  # noqa: T201
    assert (traffic.failures, traffic.answered > 0) == ({}, True)
    mesh_namespace.stand_in("ratings")
    mesh_namespace.eventually(partial(arrives, client, "http://ratings", "v1"), "the new Service", seconds=FOLLOWED)
    assert_webhooks_answer(mesh_namespace, "after-reset")
    # The same processes, which still hold and renew what they held.
    assert (set(istiods(kube)), restarts(kube)) == (before, restarted)
    mesh_namespace.eventually(partial(went_on, kube, leaders), "every lease renewed since", seconds=30)


def arrives(client: Any, url: str, version: str) -> bool:
    return str(client.get(url).version) == version


def went_on(kube: Any, before: dict[str, Json]) -> bool:
    after = elections(kube)
    return all(
        after[name]["renewed"] > one["renewed"] and after[name]["turns"] == one["turns"] for name, one in before.items()
    )
