"""What a StatefulSet's plan calls for, step by step and as laws."""

import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from workload_scene import NOW, World, workload

from pytest_mesh.clusters.local.controllers.revisions import Revisions, forgotten, new_revision, template_of
from pytest_mesh.clusters.local.controllers.stateful_set_plan import plan, revision_of


def revision(owner, image):
    changed = {
        **owner,
        "spec": {
            **owner["spec"],
            "template": {**owner["spec"]["template"], "spec": {"containers": [{"name": "a", "image": image}]}},
        },
    }
    return new_revision(changed, 1, 0)


def step(owner, world, revisions, seen=None):
    """Carry out one plan; give whether it called for anything."""
    decision = plan(owner, world.present, revisions, NOW)
    for pod in decision.create:
        world.create(pod)
    for name in decision.delete:
        world.delete(name)
    owner["status"] = decision.status
    return bool(decision.create or decision.delete)


def settle(owner, world, revisions, each=lambda: None):
    for _ in range(100):
        acted = step(owner, world, revisions)
        each()
        before = {name: str(pod) for name, pod in world.pods.items()}
        world.tick()
        if not acted and before == {name: str(pod) for name, pod in world.pods.items()}:
            return
    raise AssertionError("it never comes to rest")


def whole(owner, image="one"):
    only = revision(owner, image)
    return Revisions(current=only, update=only, all=(only,))


def test_pods_are_made_one_after_another():
    owner, world = workload(replicas=3, serviceName="svc"), World()
    step(owner, world, whole(owner))
    step(owner, world, whole(owner))
    assert list(world.pods) == ["x-0"]
    assert (world.pods["x-0"]["spec"]["hostname"], world.pods["x-0"]["spec"]["subdomain"]) == ("x-0", "svc")
    world.tick()
    step(owner, world, whole(owner))
    assert list(world.pods) == ["x-0", "x-1"]


def test_parallel_makes_all_at_once():
    owner, world = workload(replicas=3, podManagementPolicy="Parallel", ordinals={"start": 5}), World()
    step(owner, world, whole(owner))
    assert list(world.pods) == ["x-5", "x-6", "x-7"]


def test_the_highest_goes_first_and_only_when_the_others_are_well():
    owner, world = workload(replicas=3), World()
    settle(owner, world, whole(owner))
    owner["spec"]["replicas"] = 1
    step(owner, world, whole(owner))
    assert [name for name, pod in world.pods.items() if "deletionTimestamp" in pod["metadata"]] == ["x-2"]
    settle(owner, world, whole(owner))
    assert list(world.pods) == ["x-0"]


def test_an_update_stops_at_the_partition_and_the_status_names_both_revisions():
    owner, world = (
        workload(replicas=3, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}),
        World(),
    )
    old = whole(owner)
    settle(owner, world, old)
    new = revision(owner, "two")
    both = Revisions(current=old.update, update=new, all=(old.update, new))
    settle(owner, world, both)
    assert [revision_of(world.pods[f"x-{n}"]) == new["metadata"]["name"] for n in range(3)] == [False, False, True]
    assert owner["status"]["updatedReplicas"] == 1
    assert owner["status"]["currentRevision"] == old.update["metadata"]["name"]
    world.delete("x-0")
    world.tick()
    settle(owner, world, both)
    assert revision_of(world.pods["x-0"]) == old.update["metadata"]["name"]


def test_on_delete_waits_for_somebody_to_delete():
    owner, world = workload(replicas=2, updateStrategy={"type": "OnDelete"}), World()
    old = whole(owner)
    settle(owner, world, old)
    new = revision(owner, "two")
    settle(owner, world, Revisions(current=old.update, update=new, all=(old.update, new)))
    assert all(revision_of(pod) != new["metadata"]["name"] for pod in world.present)


@settings(max_examples=40, deadline=None)
@given(
    before=st.integers(0, 5),
    after=st.integers(0, 5),
    policy=st.sampled_from(["OrderedReady", "Parallel"]),
    partition=st.integers(0, 6),
)
def test_every_change_comes_to_rest_and_an_update_takes_one_pod_at_a_time(before, after, policy, partition):
    owner = workload(
        replicas=before,
        podManagementPolicy=policy,
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": partition}},
    )
    world, old = World(), whole(owner)
    settle(owner, world, old)
    assert sorted(world.pods) == [f"x-{n}" for n in range(before)]
    owner["spec"]["replicas"] = after
    settle(owner, world, old)
    new = revision(owner, "two")
    least = []
    settle(
        owner,
        world,
        Revisions(current=old.update, update=new, all=(old.update, new)),
        lambda: least.append(len(world.ready())),
    )
    assert min(least) >= after - 1
    assert sorted(world.pods) == [f"x-{n}" for n in range(after)]
    expected = [n >= partition for n in range(after)]
    assert [revision_of(world.pods[f"x-{n}"]) == new["metadata"]["name"] for n in range(after)] == expected


def test_a_revision_restores_the_template_and_old_ones_go_beyond_the_limit():
    owner = workload()
    made = [{**new_revision(owner, number, number), "revision": number} for number in (3, 1, 2)]
    assert template_of(made[0]) == owner["spec"]["template"]
    live = {made[1]["metadata"]["name"]}
    assert forgotten(made, live, 1) == (made[2]["metadata"]["name"],)
    assert forgotten(made, live, 10) == ()
