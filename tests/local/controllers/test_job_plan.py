"""What a Job's plan calls for: completions, failures, deadlines, indexes, suspension."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from workload_scene import NOW, World, stamp, workload

from pytest_mesh.clusters.local.controllers.job_plan import FINALIZER, INDEX, plan, read_indexes, shown_indexes
from pytest_mesh.clusters.local.controllers.objects import condition


def job(**spec):
    return workload("Job", **{"parallelism": 1, "completions": 1, "backoffLimit": 6, **spec})


def step(owner, world, now=NOW):
    """Carry out one plan as the loop does; give whether it called for anything."""
    decision = plan(owner, world.present, now)
    for name in decision.counted:
        world.pods[name]["metadata"]["finalizers"].remove(FINALIZER)
    for pod in decision.create:
        world.create(pod)
    for name in decision.delete:
        world.delete(name)
    changed = owner["status"] != decision.status
    owner["status"] = decision.status
    return bool(decision.create or decision.delete or decision.counted) or changed


def settle(owner, world, outcome="Succeeded", each=lambda: None):
    for _ in range(100):
        acted = step(owner, world)
        each()
        before = {name: str(pod) for name, pod in world.pods.items()}
        world.tick(outcome)
        if not acted and before == {name: str(pod) for name, pod in world.pods.items()}:
            return
    raise AssertionError("it never comes to rest")


def reasons(owner):
    return {entry["type"]: entry["reason"] for entry in owner["status"].get("conditions", ())}


@settings(max_examples=40, deadline=None)
@given(completions=st.integers(0, 6), parallelism=st.integers(1, 4), indexed=st.booleans())
def test_a_job_is_complete_after_its_completions_and_never_runs_more_at_once(completions, parallelism, indexed):
    owner = job(completions=completions, parallelism=parallelism, completionMode="Indexed" if indexed else "NonIndexed")
    world, most = World(), []
    settle(owner, world, each=lambda: most.append(sum(pod["status"]["phase"] == "Pending" for pod in world.present)))
    assert max(most) <= parallelism
    assert world.made == completions
    assert owner["status"]["succeeded"] == completions
    assert reasons(owner) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert owner["status"]["uncountedTerminatedPods"] == {}
    assert not any(pod["metadata"]["finalizers"] for pod in world.present)
    if indexed and completions:
        assert owner["status"]["completedIndexes"] == shown_indexes(range(completions))
        assert sorted(pod["metadata"]["labels"][INDEX] for pod in world.present) == [str(n) for n in range(completions)]


def test_failures_beyond_the_limit_end_it():
    owner, world = job(backoffLimit=0), World()
    settle(owner, world, "Failed")
    assert reasons(owner) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}
    assert owner["status"]["failed"] == 1


def test_after_a_failure_the_next_pod_waits_for_ten_seconds_and_then_twenty():
    owner, world = job(), World()
    step(owner, world)
    world.tick("Failed")
    for pod in world.present:
        pod["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": stamp()}}}]
    decision = plan(owner, world.present, NOW)
    assert decision.create == ()
    assert decision.again == pytest.approx(10)


def test_a_pod_is_counted_once_even_if_the_count_could_not_be_written():
    owner, world = job(completions=2), World()
    step(owner, world)
    world.tick("Succeeded")
    first = plan(owner, world.present, NOW)
    (name,) = first.counted
    uid = world.pods[name]["metadata"]["uid"]
    assert first.uncounted == {"succeeded": [uid]}
    owner["status"] = {**owner["status"], "uncountedTerminatedPods": first.uncounted}
    world.pods[name]["metadata"]["finalizers"].remove(FINALIZER)
    again = plan(owner, world.present, NOW)
    assert (again.uncounted, again.status["succeeded"]) == ({}, 1)


def test_a_deadline_ends_it_and_its_pods():
    owner, world = job(activeDeadlineSeconds=5), World()
    owner["status"] = {"startTime": stamp(-6)}
    world.create(plan({**owner, "status": {}}, [], NOW).create[0])
    world.tick("Running")
    decision = plan(owner, world.present, NOW)
    assert decision.delete == tuple(world.pods)
    assert [entry["type"] for entry in decision.status["conditions"]] == ["FailureTarget"]


def test_suspension_takes_the_pods_and_resuming_starts_the_clock_anew():
    owner, world = job(), World()
    step(owner, world)
    world.tick("Running")
    owner["spec"]["suspend"] = True
    step(owner, world)
    assert all("deletionTimestamp" in pod["metadata"] for pod in world.present)
    assert condition(owner, "Suspended")["status"] == "True"
    assert "startTime" not in owner["status"]
    owner["spec"]["suspend"] = False
    decision = plan(owner, [], NOW)
    assert (condition({"status": decision.status}, "Suspended") or {})["status"] == "False"
    assert decision.status["startTime"] == stamp()


def test_a_finished_job_goes_when_its_time_is_over():
    owner, world = job(ttlSecondsAfterFinished=5), World()
    settle(owner, world)
    assert plan(owner, world.present, NOW).again == pytest.approx(5)
    owner["status"]["completionTime"] = stamp(-5)
    assert plan(owner, world.present, NOW).remove


def test_without_completions_one_success_ends_it_once_the_others_are_through():
    owner, world = job(parallelism=2), World()
    del owner["spec"]["completions"]
    step(owner, world)
    first, second = world.present
    first["status"] = {"phase": "Succeeded"}
    second["status"] = {"phase": "Running"}
    step(owner, world)
    assert reasons(owner) == {}
    assert world.made == 2
    second["status"] = {"phase": "Succeeded"}
    step(owner, world)
    step(owner, world)
    assert reasons(owner)["Complete"] == "CompletionsReached"


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 30)))
def test_indexes_are_read_as_they_are_written(indexes):
    assert set(read_indexes(shown_indexes(indexes))) == indexes
