"""StatefulSets, DaemonSets and Jobs with real pods: order, updates, roll back, completion, clean-up. `make workloads-live`."""

import os
import shutil
import subprocess

import pytest
from cluster_scene import SLEEP, shell

APPS, BATCH = "/apis/apps/v1", "/apis/batch/v1"
MERGE = "application/merge-patch+json"


def workload(kind, name, script=SLEEP, **spec):
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [shell(script)]},
    }
    whole = {"selector": {"matchLabels": {"app": name}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": whole}


def job(name, script, policy="Never", **spec):
    inner = {"restartPolicy": policy, "terminationGracePeriodSeconds": 1, "containers": [shell(script)]}
    return {"metadata": {"name": name}, "spec": {"template": {"spec": inner}, **spec}}


def pods(space, **labels):
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    items = space.scene.get(space.path("pods"), labelSelector=chosen)["items"]
    return sorted(items, key=lambda pod: pod["metadata"]["name"])


def rolled_out(size):
    def done(obj):
        status = (obj or {}).get("status") or {}
        return (
            status.get("observedGeneration") == (obj or {}).get("metadata", {}).get("generation")
            and status.get("readyReplicas", 0) == status.get("updatedReplicas", 0) == status.get("replicas") == size
            and status["currentRevision"] == status["updateRevision"]
        )

    return done


def has(kind):
    def found(obj):
        return any(
            one["type"] == kind and one["status"] == "True"
            for one in ((obj or {}).get("status") or {}).get("conditions") or ()
        )

    return found


@pytest.fixture
def kubectl(space):
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("needs kubectl on PATH")

    def run(*words):
        command = [program, "--kubeconfig", str(space.scene.cluster.kubeconfig), "-n", space.name, *words]
        env = {**os.environ, "HOME": str(space.scene.cluster.directory)}
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, env=env)

    return run


def test_a_stateful_set_starts_in_order_updates_from_the_end_and_rolls_back(space, kubectl):
    path = space.path("statefulsets", "db", prefix=APPS)
    space.create("statefulsets", workload("StatefulSet", "db", replicas=3, serviceName="db"), APPS)
    first = space.scene.until(path, rolled_out(3), what="the first rollout")
    made = pods(space, app="db")
    assert [pod["metadata"]["name"] for pod in made] == ["db-0", "db-1", "db-2"]
    starts = [int(pod["metadata"]["resourceVersion"]) for pod in made]
    assert starts == sorted(starts)
    assert made[1]["spec"]["hostname"] == "db-1"
    assert made[1]["spec"]["subdomain"] == "db"

    change = {
        "spec": {
            "updateStrategy": {"rollingUpdate": {"partition": 2}},
            "template": {"metadata": {"annotations": {"v": "2"}}},
        }
    }
    space.scene.call("PATCH", path, change, MERGE)
    space.scene.until(
        path, lambda obj: obj["status"].get("updatedReplicas") == 1 and obj["status"]["readyReplicas"] == 3
    )
    assert [pod["metadata"].get("annotations", {}).get("v") for pod in pods(space, app="db")] == [None, None, "2"]

    space.scene.call("PATCH", path, {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}}, MERGE)
    status = kubectl("rollout", "status", "statefulset/db", "--timeout=60s")
    assert status.returncode == 0, status
    assert "partitioned roll out complete" in status.stdout or "rolling update complete" in status.stdout
    assert [pod["metadata"]["annotations"]["v"] for pod in pods(space, app="db")] == ["2", "2", "2"]

    undone = kubectl("rollout", "undo", "statefulset/db")
    assert undone.returncode == 0, undone
    last = space.scene.until(path, rolled_out(3), what="the roll back")
    assert last["status"]["currentRevision"] == first["status"]["currentRevision"]
    scaled = kubectl("scale", "statefulset/db", "--replicas=1")
    assert scaled.returncode == 0, scaled
    space.scene.until(path, rolled_out(1), what="the smaller size")
    assert [pod["metadata"]["name"] for pod in pods(space, app="db")] == ["db-0"]


def test_a_parallel_stateful_set_does_not_wait_for_its_first_pod(space):
    spec = {"replicas": 3, "serviceName": "db", "podManagementPolicy": "Parallel"}
    space.create("statefulsets", workload("StatefulSet", "db", script="sleep 1; exec " + "sleep 1000", **spec), APPS)
    space.scene.until(
        space.path("statefulsets", "db", prefix=APPS), lambda obj: (obj["status"].get("replicas") or 0) == 3
    )


def test_a_daemon_set_has_a_pod_on_the_node_and_updates_it(space, kubectl):
    space.create("daemonsets", workload("DaemonSet", "agent"), APPS)
    status = kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    assert status.returncode == 0, status
    (old,) = pods(space, app="agent")
    assert old["metadata"]["ownerReferences"][0]["kind"] == "DaemonSet"

    change = {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}}
    space.scene.call("PATCH", space.path("daemonsets", "agent", prefix=APPS), change, MERGE)
    status = kubectl("rollout", "status", "daemonset/agent", "--timeout=60s")
    assert status.returncode == 0, status
    new = [pod for pod in pods(space, app="agent") if "deletionTimestamp" not in pod["metadata"]]
    assert [pod["metadata"]["annotations"]["v"] for pod in new] == ["2"]
    history = kubectl("rollout", "history", "daemonset/agent")
    assert history.returncode == 0, history
    assert [line.split()[0] for line in history.stdout.splitlines()[2:] if line.strip()] == ["1", "2"]


def test_a_job_runs_to_its_completions_and_its_pods_are_counted_once(space, kubectl):
    space.create("jobs", job("count", "true", completions=4, parallelism=2), BATCH)
    waited = kubectl("wait", "--for=condition=complete", "job/count", "--timeout=60s")
    assert waited.returncode == 0, waited
    done = space.scene.get(space.path("jobs", "count", prefix=BATCH))
    assert done["status"]["succeeded"] == 4
    assert done["status"].get("uncountedTerminatedPods") == {}
    assert "completionTime" in done["status"]
    made = pods(space, **{"batch.kubernetes.io/job-name": "count"})
    assert len(made) == 4
    assert all("finalizers" not in pod["metadata"] for pod in made)


def test_a_job_fails_at_its_back_off_limit(space):
    space.create("jobs", job("fails", "exit 3", backoffLimit=0), BATCH)
    failed = space.scene.until(space.path("jobs", "fails", prefix=BATCH), has("Failed"))
    assert {one["reason"] for one in failed["status"]["conditions"]} == {"BackoffLimitExceeded"}
    assert failed["status"]["failed"] == 1


def test_a_job_fails_at_its_deadline_and_leaves_nothing_running(space):
    space.create("jobs", job("slow", SLEEP, activeDeadlineSeconds=1), BATCH)
    failed = space.scene.until(space.path("jobs", "slow", prefix=BATCH), has("Failed"))
    assert failed["status"]["conditions"][-1]["reason"] == "DeadlineExceeded"
    assert failed["status"].get("active", 0) == 0


def test_an_indexed_job_gives_each_pod_its_index(space):
    script = "echo $JOB_COMPLETION_INDEX $(hostname)"
    space.create("jobs", job("ranks", script, completions=3, parallelism=3, completionMode="Indexed"), BATCH)
    done = space.scene.until(space.path("jobs", "ranks", prefix=BATCH), has("Complete"))
    assert done["status"]["completedIndexes"] == "0-2"
    made = pods(space, **{"batch.kubernetes.io/job-name": "ranks"})
    logs = sorted(space.log(pod["metadata"]["name"]) for pod in made)
    assert logs == [f"{index} ranks-{index}\n" for index in range(3)]


def test_a_suspended_job_waits_and_a_finished_one_goes_with_its_pods(space):
    path = space.path("jobs", "later", prefix=BATCH)
    space.create("jobs", job("later", "true", suspend=True, ttlSecondsAfterFinished=1), BATCH)
    space.scene.until(path, has("Suspended"))
    assert pods(space, **{"batch.kubernetes.io/job-name": "later"}) == []
    space.scene.call("PATCH", path, {"spec": {"suspend": False}}, MERGE)
    space.scene.until(path, has("Complete"))
    space.scene.until_gone(path)
    for pod in pods(space, **{"batch.kubernetes.io/job-name": "later"}):
        space.scene.until_gone(space.path("pods", pod["metadata"]["name"]))


def test_a_deleted_job_takes_its_running_pods_along(space):
    path = space.path("jobs", "endless", prefix=BATCH)
    space.create("jobs", job("endless", SLEEP), BATCH)
    space.scene.until(path, lambda obj: obj["status"].get("ready") == 1)
    (pod,) = pods(space, **{"batch.kubernetes.io/job-name": "endless"})
    space.scene.call("DELETE", path, {"propagationPolicy": "Background"})
    space.scene.until_gone(space.path("pods", pod["metadata"]["name"]))
