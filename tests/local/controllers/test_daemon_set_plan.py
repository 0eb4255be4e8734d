"""What a DaemonSet's plan calls for on one node and on several."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from workload_scene import NOW, World, node, workload

from pytest_mesh.clusters.local.controllers.daemon_set_plan import is_new, new_pod, node_of, plan


def step(owner, world, nodes, digest):
    decision = plan(owner, world.present, nodes, digest, NOW)
    for name in decision.create:
        world.create(new_pod(owner, name, digest))
    for name in decision.delete:
        world.delete(name)
    owner["status"] = decision.status
    return bool(decision.create or decision.delete)


def settle(owner, world, nodes, digest, each=lambda: None):
    for _ in range(100):
        acted = step(owner, world, nodes, digest)
        each()
        going = any(
            "deletionTimestamp" in pod["metadata"] or pod["status"]["phase"] == "Pending" for pod in world.present
        )
        world.tick()
        if not acted and not going:
            return
    raise AssertionError("it never comes to rest")


def test_a_pod_for_each_node_that_it_fits():
    owner, world = workload("DaemonSet"), World()
    tainted = node("t", taints=[{"key": "k", "effect": "NoSchedule"}])
    closed = node("c", unschedulable=True)
    settle(owner, world, [node("a"), closed, tainted], "h1")
    assert sorted(node_of(pod) for pod in world.present) == ["a", "c"]
    assert owner["status"]["desiredNumberScheduled"] == owner["status"]["numberReady"] == 2


def test_a_node_that_no_longer_fits_loses_its_pod():
    owner, world = workload("DaemonSet"), World()
    settle(owner, world, [node("a")], "h1")
    owner["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "fast"}
    settle(owner, world, [node("a")], "h1")
    assert world.present == []


def test_a_required_affinity_of_its_own_is_kept_beside_the_node():
    owner = workload("DaemonSet")
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    owner["spec"]["template"]["spec"]["affinity"] = {"nodeAffinity": required}
    world = World()
    settle(owner, world, [node("a"), node("b")], "h1")
    assert [node_of(pod) for pod in world.present] == ["b"]


def test_a_surging_update_makes_the_new_pod_before_the_old_one_goes():
    owner, world = (
        workload(
            "DaemonSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        ),
        World(),
    )
    settle(owner, world, [node("a")], "h1")
    least = []
    settle(owner, world, [node("a")], "h2", lambda: least.append(len(world.ready())))
    assert min(least) == 1
    assert [is_new(pod, "h2") for pod in world.present] == [True]


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 6), allowed=st.integers(1, 6))
def test_an_update_comes_to_rest_and_never_more_pods_are_out_than_allowed(size, allowed):
    owner = workload(
        "DaemonSet",
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": allowed, "maxSurge": 0}},
    )
    world, nodes = World(), [node(f"n{number}") for number in range(size)]
    settle(owner, world, nodes, "h1")
    least = []
    settle(owner, world, nodes, "h2", lambda: least.append(len(world.ready())))
    assert min(least) >= size - allowed
    assert [is_new(pod, "h2") for pod in world.present] == [True] * size
    assert owner["status"]["updatedNumberScheduled"] == owner["status"]["numberAvailable"] == size
