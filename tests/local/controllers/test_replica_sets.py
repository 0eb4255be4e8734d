"""ReplicaSets as a function of their Pods."""

from datetime import UTC, datetime, timedelta

from pytest_mesh.clusters.local.controllers.replica_sets import new_pod, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def replica_set(replicas=2, **spec):
    template = {"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}, "spec": {"containers": []}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web-abc", "namespace": "shop", "uid": "u", "generation": 4},
        "spec": {"replicas": replicas, "template": template, **spec},
    }


def pod(name, *, ready=True, phase="Running", deleting=False, age=60):
    stamp = (NOW - timedelta(seconds=age)).isoformat()
    metadata = {"name": name, "namespace": "shop", "labels": {"app": "web"}, "creationTimestamp": stamp}
    if deleting:
        metadata["deletionTimestamp"] = stamp
    ready_condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": stamp}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "n"},
        "status": {"phase": phase, "conditions": [ready_condition]},
    }


def test_missing_pods_are_created():
    assert plan(replica_set(3), [pod("a")], NOW).create == 2


def test_a_pod_that_ends_as_soon_as_it_is_made_is_not_replaced_at_once():
    decision = plan(replica_set(1), [pod("a", phase="Failed", age=1)], NOW)
    assert (decision.create, decision.again) == (0, 4.0)


def test_pods_that_end_or_are_deleted_are_replaced():
    assert plan(replica_set(2), [pod("a", phase="Failed"), pod("b", deleting=True)], NOW).create == 2


def test_of_too_many_pods_the_unready_and_the_young_go_first():
    pods = [pod("old"), pod("young", age=5), pod("unready", ready=False), pod("pending", ready=False, phase="Pending")]
    assert plan(replica_set(1), pods, NOW).delete == ("pending", "unready", "young")


def test_a_replica_set_that_is_being_deleted_makes_no_pods():
    item = replica_set(2)
    item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    decision = plan(item, [pod("a")], NOW)
    assert (decision.create, decision.delete) == (0, ())


def test_the_status_counts_what_is_ready_and_what_is_available():
    decision = plan(replica_set(3, minReadySeconds=30), [pod("a"), pod("b", age=10), pod("c", ready=False)], NOW)
    assert decision.status == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 1,
        "observedGeneration": 4,
    }
    assert decision.again == 20


def test_a_new_pod_carries_the_template_and_its_owner():
    found = new_pod(replica_set())
    assert found["metadata"]["generateName"] == "web-abc-"
    assert found["metadata"]["annotations"] == {"a": "b"}
    (owner,) = found["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("ReplicaSet", "u", True)
