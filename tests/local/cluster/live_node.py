"""What the node does to a running pod: hooks, probes, deadlines, and files that follow their sources. `make workloads-live`."""

import base64

from cluster_scene import SLEEP, is_over, is_ready, shell, states

MERGE = "application/merge-patch+json"


def test_a_pre_stop_hook_runs_before_the_container_is_told_to_end(space):
    script = (
        "trap 'echo told to end; exit 0' TERM; mkfifo /tmp/said; while :; do read line </tmp/said; echo $line; done"
    )
    hook = {"exec": {"command": ["sh", "-c", "echo the hook >/tmp/said; sleep 0.3"]}}
    space.running("leaves", shell(script, lifecycle={"preStop": hook}), terminationGracePeriodSeconds=10)
    path = space.path("pods", "leaves")
    url = space.scene.cluster.server + path + "/log"
    with space.scene.session.get(url, params={"follow": "true"}, stream=True, timeout=20) as follow:
        space.scene.call("DELETE", path)
        said = follow.text
    assert said.index("the hook") < said.index("told to end")
    space.scene.until_gone(path)


def test_a_startup_probe_that_never_succeeds_restarts_the_container(space):
    probe = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}
    path = space.pod("stuck", shell(SLEEP, startupProbe=probe))
    pod = space.scene.until(path, lambda pod: states(pod).get("app", {}).get("restartCount", 0) >= 1, what="a restart")
    assert not is_ready(pod)
    assert "failed startup probe, will be restarted" in space.event("stuck", "Killing")["message"]


def test_a_pod_ends_when_its_active_deadline_is_over(space):
    path = space.pod("brief", shell(SLEEP), activeDeadlineSeconds=1)
    pod = space.scene.until(path, is_over)
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert "terminated" in states(pod)["app"]["state"]


def test_a_file_of_the_downward_api_follows_the_labels(space):
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "memory", "resourceFieldRef": {"containerName": "app", "resource": "limits.memory", "divisor": "1Mi"}},
    ]
    container = shell(
        "until grep -q green /info/labels; do sleep 0.05; done; cat /info/labels; echo; cat /info/memory",
        volumeMounts=[{"name": "info", "mountPath": "/info"}],
        resources={"limits": {"memory": "64Mi"}},
    )
    volume = {"name": "info", "downwardAPI": {"items": items}}
    space.running("told", container, restartPolicy="Never", labels={"color": "blue"}, volumes=[volume])
    space.scene.call("PATCH", space.path("pods", "told"), {"metadata": {"labels": {"color": "green"}}}, MERGE)
    space.scene.until(space.path("pods", "told"), is_over)
    assert space.log("told") == 'color="green"\n64'


def test_a_changed_secret_reaches_the_running_container(space):
    def encoded(text):
        return {"data": {"key": base64.b64encode(text.encode()).decode()}}

    space.create("secrets", {"metadata": {"name": "word"}, **encoded("old")})
    container = shell(
        "until grep -q new /word/key; do sleep 0.05; done; cat /word/key",
        volumeMounts=[{"name": "word", "mountPath": "/word"}],
    )
    volume = {"name": "word", "secret": {"secretName": "word"}}
    space.running("reader", container, restartPolicy="Never", volumes=[volume])
    space.scene.call("PATCH", space.path("secrets", "word"), encoded("new"), MERGE)
    space.scene.until(space.path("pods", "reader"), is_over)
    assert space.log("reader") == "new"
