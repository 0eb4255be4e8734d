"""Deployments: a small simulated cluster follows the plans until nothing changes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mesh.clusters.local.controllers.deployment_plan import bounds, plan, template_hash
from pytest_mesh.clusters.local.controllers.deployment_status import status_of
from pytest_mesh.clusters.local.controllers.objects import condition

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(replicas=3, image="v1", strategy=None, **spec):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": strategy or {"type": "RollingUpdate"},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": image}]}},
            **spec,
        },
    }


class Cluster:
    """ReplicaSets that follow plans; Pods become available one ReplicaSet step after they are wanted."""

    def __init__(self, item):
        self.deployment = item
        self.sets = []
        self.time = NOW
        self.lowest = None
        self.highest = 0
        self.healthy = True

    def step(self):
        self.time += timedelta(seconds=1)
        decision = plan(self.deployment, self.sets, self.time)
        by_name = {item["metadata"]["name"]: item for item in self.sets}
        if decision.create:
            item = decision.create
            item["metadata"]["creationTimestamp"] = self.time.isoformat()
            self.sets.append(item)
        for name, size in decision.scale.items():
            by_name[name]["spec"]["replicas"] = size
        for name, annotations in decision.annotate.items():
            by_name[name]["metadata"].setdefault("annotations", {}).update(annotations)
        self.sets = [item for item in self.sets if item["metadata"]["name"] not in decision.delete]
        changed = bool(decision.create or decision.scale or decision.delete)
        changed |= self.deployment.get("status") != decision.status
        self.deployment["status"] = decision.status
        return changed

    def settle_pods(self):
        for item in self.sets:
            size = item["spec"]["replicas"]
            old = (item.get("status") or {}).get("availableReplicas", 0)
            available = size if self.healthy else min(old, size)
            item["status"] = {"replicas": size, "readyReplicas": available, "availableReplicas": available}
        total = sum(item["spec"]["replicas"] for item in self.sets)
        self.highest = max(self.highest, total)
        available = sum(item["status"]["availableReplicas"] for item in self.sets)
        self.lowest = available if self.lowest is None else min(self.lowest, available)

    def roll(self, steps=200):
        for _ in range(steps):
            changed = self.step()
            self.settle_pods()
            if not changed:
                return
        raise AssertionError("the Deployment does not settle")

    def sizes(self):
        return {
            item["spec"]["template"]["spec"]["containers"][0]["image"]: item["spec"]["replicas"] for item in self.sets
        }


def test_a_new_deployment_gets_one_replica_set_of_full_size():
    cluster = Cluster(deployment())
    cluster.roll()
    assert cluster.sizes() == {"v1": 3}
    assert cluster.sets[0]["metadata"]["name"].startswith("web-")
    assert cluster.sets[0]["spec"]["selector"]["matchLabels"].keys() == {"app", "pod-template-hash"}


def test_a_finished_rollout_says_so_to_kubectl():
    cluster = Cluster(deployment())
    cluster.roll()
    status = cluster.deployment["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert status["observedGeneration"] == 1
    assert condition(cluster.deployment, "Available")["status"] == "True"
    assert condition(cluster.deployment, "Progressing")["reason"] == "NewReplicaSetAvailable"


@settings(deadline=None, max_examples=60)
@given(
    replicas=st.integers(0, 12),
    surge=st.sampled_from([0, 1, 3, "0%", "25%", "50%", "100%"]),
    unavailable=st.sampled_from([0, 1, 3, "0%", "25%", "50%", "100%"]),
)
def test_a_rolling_update_keeps_within_its_bounds_and_ends(replicas, surge, unavailable):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    cluster = Cluster(deployment(replicas, strategy={"type": "RollingUpdate", "rollingUpdate": rolling}))
    cluster.roll()
    cluster.lowest, cluster.highest = None, 0
    cluster.deployment["spec"]["template"] = deployment(image="v2")["spec"]["template"]
    cluster.deployment["metadata"]["generation"] = 2
    cluster.roll()
    most, least = bounds(cluster.deployment)
    assert cluster.sizes() == {"v1": 0, "v2": replicas}
    assert cluster.highest <= replicas + most
    assert cluster.lowest >= replicas - least


def test_recreate_ends_the_old_pods_before_it_makes_new_ones():
    cluster = Cluster(deployment(strategy={"type": "Recreate"}))
    cluster.roll()
    cluster.highest = 0
    cluster.deployment["spec"]["template"] = deployment(image="v2")["spec"]["template"]
    cluster.roll()
    assert cluster.sizes() == {"v1": 0, "v2": 3}
    assert cluster.highest == 3


def test_going_back_to_an_old_template_takes_its_replica_set_again():
    cluster = Cluster(deployment())
    cluster.roll()
    cluster.deployment["spec"]["template"] = deployment(image="v2")["spec"]["template"]
    cluster.roll()
    cluster.deployment["spec"]["template"] = deployment(image="v1")["spec"]["template"]
    cluster.roll()
    assert cluster.sizes() == {"v1": 3, "v2": 0}
    revision = "deployment.kubernetes.io/revision"
    assert sorted(item["metadata"]["annotations"][revision] for item in cluster.sets) == ["2", "3"]


def test_old_replica_sets_beyond_the_history_limit_are_deleted():
    cluster = Cluster(deployment(revisionHistoryLimit=1))
    for image in ("v1", "v2", "v3", "v4"):
        cluster.deployment["spec"]["template"] = deployment(image=image)["spec"]["template"]
        cluster.roll()
    assert cluster.sizes() == {"v3": 0, "v4": 3}


def test_a_paused_deployment_scales_but_does_not_roll():
    cluster = Cluster(deployment())
    cluster.roll()
    cluster.deployment["spec"] |= {"paused": True, "replicas": 5}
    cluster.deployment["spec"]["template"] = deployment(image="v2")["spec"]["template"]
    cluster.roll()
    assert cluster.sizes() == {"v1": 5}
    assert condition(cluster.deployment, "Progressing")["reason"] == "DeploymentPaused"


def test_a_rollout_without_progress_exceeds_its_deadline():
    cluster = Cluster(deployment(progressDeadlineSeconds=10))
    cluster.healthy = False
    for _ in range(20):
        cluster.step()
        cluster.settle_pods()
    assert condition(cluster.deployment, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert condition(cluster.deployment, "Progressing")["status"] == "False"


def test_a_replica_sets_failure_is_shown_on_the_deployment():
    cluster = Cluster(deployment())
    cluster.roll()
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "denied"}
    cluster.sets[0]["status"]["conditions"] = [failure]
    status = status_of(cluster.deployment, cluster.sets[0], cluster.sets, NOW)
    assert failure in status["conditions"]


def test_a_template_hash_depends_on_content_and_collisions_but_not_on_the_order_of_keys():
    assert template_hash({"a": 1, "b": [2]}, 0) == template_hash({"b": [2], "a": 1}, 0)
    assert template_hash({"a": 1}, 0) != template_hash({"a": 1}, 1)


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [(4, "25%", "25%", (1, 1)), (1, "25%", "25%", (1, 0)), (3, 0, 0, (0, 1)), (10, "15%", "15%", (2, 1))],
)
def test_surge_rounds_up_and_unavailable_down(replicas, surge, unavailable, expected):
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    assert bounds(deployment(replicas, strategy={"rollingUpdate": rolling})) == expected
