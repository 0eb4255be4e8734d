"""Containers of a Pod: order, restarts, probes, users, files, ends."""

import time
from pathlib import Path

import jwt_parts
from cluster_scene import SLEEP, is_over, is_ready, python, shell, states

from pytest_mesh.contracts import Image

TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"


def test_a_pod_that_ends_says_how_and_keeps_its_log(space):
    pod = space.finished("ends", shell("echo said; exit 3"))

    assert pod["status"]["phase"] == "Failed"
    assert states(pod)["app"]["state"]["terminated"]["exitCode"] == 3
    assert space.log("ends") == "said\n"


def test_a_crashing_container_is_restarted_with_back_off_and_its_last_lines_stay_readable(space):
    path = space.pod("crashes", shell("echo the last words; exit 7"))
    pod = space.scene.until(
        path,
        lambda pod: (
            states(pod).get("app", {}).get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
            and states(pod)["app"]["restartCount"] >= 1
        ),
        what="the back-off",
    )

    status = states(pod)["app"]
    assert status["lastState"]["terminated"]["exitCode"] == 7
    assert "back-off 10s restarting failed container=app" in status["state"]["waiting"]["message"]
    assert space.event("crashes", "BackOff")["message"].startswith("Back-off restarting failed container app")
    assert space.log("crashes") == space.log("crashes", previous="true") == "the last words\n"


def test_the_termination_message_falls_back_to_the_log(space):
    container = shell("echo because; exit 1", terminationMessagePolicy="FallbackToLogsOnError")
    pod = space.finished("because", container)

    assert states(pod)["app"]["state"]["terminated"]["message"] == "because\n"


def test_init_containers_run_one_after_another_before_the_containers(space):
    mounts = {"volumeMounts": [{"name": "notes", "mountPath": "/notes"}]}
    pod = space.finished(
        "ordered",
        shell("echo main >>/notes/order; cat /notes/order", **mounts),
        initContainers=[
            shell("sleep 0.2; echo one >>/notes/order", name="one", **mounts),
            shell("echo two >>/notes/order", name="two", **mounts),
        ],
        volumes=[{"name": "notes", "emptyDir": {}}],
    )

    assert pod["status"]["phase"] == "Succeeded"
    assert space.log("ordered") == "one\ntwo\nmain\n"


def test_a_failed_init_container_keeps_the_others_from_starting(space):
    pod = space.finished("stopped", shell("echo never"), initContainers=[shell("echo broken; exit 9", name="setup")])

    assert pod["status"]["phase"] == "Failed"
    assert states(pod, "initContainerStatuses")["setup"]["state"]["terminated"]["exitCode"] == 9
    assert "terminated" not in states(pod)["app"]["state"]
    assert space.log("stopped", container="setup") == "broken\n"


def test_a_native_sidecar_starts_before_and_ends_after_the_containers(space):
    mounts = {"volumeMounts": [{"name": "notes", "mountPath": "/notes"}]}
    side = (
        "trap 'echo sidecar ends; exit 0' TERM; sleep 0.2; touch /notes/up; echo sidecar up;"
        "while :; do sleep 60 & wait $!; done"
    )
    pod = space.finished(
        "attended",
        shell("test -e /notes/up && echo came second", **mounts),
        initContainers=[
            shell(
                side,
                name="side",
                restartPolicy="Always",
                startupProbe={"exec": {"command": ["test", "-e", "/notes/up"]}, "periodSeconds": 1},
                **mounts,
            )
        ],
        volumes=[{"name": "notes", "emptyDir": {}}],
    )

    assert pod["status"]["phase"] == "Succeeded", pod["status"]
    assert space.log("attended") == "came second\n"
    assert space.log("attended", container="side") == "sidecar up\nsidecar ends\n"
    assert states(pod, "initContainerStatuses")["side"]["state"]["terminated"]["exitCode"] == 0


def test_a_container_is_not_started_in_the_apis_sense_before_its_startup_probe_succeeds(space):
    probe = {"exec": {"command": ["test", "-e", "/tmp/go"]}, "periodSeconds": 1, "failureThreshold": 30}
    path = space.pod("slow", shell("sleep 0.5; touch /tmp/go; " + SLEEP, startupProbe=probe))

    running = space.scene.until(path, lambda pod: "running" in states(pod).get("app", {}).get("state", {}))
    assert states(running)["app"]["started"] is False
    assert not is_ready(running)
    ready = space.scene.until(path, is_ready)
    assert states(ready)["app"]["started"] is True


def test_readiness_follows_its_probe_both_ways(space):
    probe = {"exec": {"command": ["test", "-e", "/tmp/open"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = "touch /tmp/open; sleep 1; rm /tmp/open; " + SLEEP
    path = space.pod("opens", shell(script, readinessProbe=probe))

    space.scene.until(path, is_ready)
    closed = space.scene.until(path, lambda pod: not is_ready(pod))

    assert states(closed)["app"]["restartCount"] == 0
    assert "Readiness probe failed" in space.event("opens", "Unhealthy")["message"]


def test_an_http_probe_reaches_the_container_and_a_failed_liveness_probe_restarts_it(space):
    script = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        self.send_response(200 if self.path == "/ready" or Handler.asked < 2 else 500)
        self.end_headers()
http.server.HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}
    alive = {"httpGet": {"path": "/alive", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    path = space.pod("probed", python(script, readinessProbe=probe, livenessProbe=alive))

    space.scene.until(path, is_ready)
    space.scene.until(path, lambda pod: states(pod)["app"]["restartCount"] >= 1, what="a restart")

    assert "failed liveness probe" in space.event("probed", "Killing")["message"]


def test_a_projected_token_is_readable_and_the_api_confirms_it(space):
    source = {"serviceAccountToken": {"path": "token", "audience": "istio-ca", "expirationSeconds": 3600}}
    container = shell(
        "cat /var/run/secrets/tokens/token",
        securityContext={"runAsUser": 1337, "runAsGroup": 1337},
        volumeMounts=[{"name": "token", "mountPath": "/var/run/secrets/tokens"}],
    )
    pod = space.finished("token", container, volumes=[{"name": "token", "projected": {"sources": [source]}}])
    token = space.log("token")

    review = space.scene.call("POST", TOKENS, {"spec": {"token": token, "audiences": ["istio-ca"]}})["status"]
    other = space.scene.call("POST", TOKENS, {"spec": {"token": token, "audiences": ["elsewhere"]}})["status"]

    assert review.get("authenticated") is True, review
    assert review["audiences"] == ["istio-ca"]
    assert review["user"]["username"] == f"system:serviceaccount:{space.name}:default"
    assert review["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["token"]
    assert not other.get("authenticated")
    assert jwt_parts.payload(token)["kubernetes.io"]["pod"]["uid"] == pod["metadata"]["uid"]


def test_the_default_token_lets_a_pod_ask_the_api_by_its_service_name(space):
    script = """
import json, ssl, urllib.request
d = "/var/run/secrets/kubernetes.io/serviceaccount/"
request = urllib.request.Request("https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews", b"{}",
    headers={"Authorization": "Bearer " + open(d + "token").read(), "Content-Type": "application/json"})
context = ssl.create_default_context(cafile=d + "ca.crt")
print(json.load(urllib.request.urlopen(request, context=context, timeout=5))["status"]["userInfo"]["username"])
"""
    pod = space.finished("asks", python(script))

    assert space.log("asks") == f"system:serviceaccount:{space.name}:default\n", pod["status"]


def test_a_container_runs_as_the_user_and_groups_that_it_is_given(space):
    pod = space.finished(
        "user",
        shell(
            "id -u; id -g; id -G; echo x 2>/dev/null >/etc/passwd || echo refused",
            securityContext={"runAsUser": 1337, "runAsGroup": 1338},
        ),
        securityContext={"fsGroup": 2000},
    )

    assert space.log("user") == "1337\n1338\n1338 2000\nrefused\n", pod["status"]


def test_environment_fields_and_arguments_are_expanded(space):
    container = shell('echo $NAME $ADDRESS $LIMIT $BOTH $KEY; echo "$0"', name="app")
    container["command"].append("$(NAME)-$$(NAME)-$(MISSING)")
    space.create("configmaps", {"metadata": {"name": "settings"}, "data": {"key": "from-map"}})
    container["env"] = [
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "BOTH", "value": "$(NAME)/$(LIMIT)"},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "key"}}},
    ]
    container["resources"] = {"limits": {"memory": "64Mi"}}
    pod = space.finished("expands", container)

    address = pod["status"]["podIP"]
    lines = f"expands {address} 64 expands/64 from-map\nexpands-$(NAME)-$(MISSING)\n"
    assert space.log("expands") == lines


def test_a_changed_config_map_reaches_the_running_container(space):
    space.create("configmaps", {"metadata": {"name": "page"}, "data": {"text": "old"}})
    space.running(
        "reader",
        shell(
            "until grep -q new /page/text; do sleep 0.05; done; cat /page/text",
            volumeMounts=[{"name": "page", "mountPath": "/page"}],
        ),
        restartPolicy="Never",
        volumes=[{"name": "page", "configMap": {"name": "page"}}],
    )

    patch = {"data": {"text": "new"}}
    space.scene.call("PATCH", space.path("configmaps", "page"), patch, "application/merge-patch+json")

    pod = space.scene.until(space.path("pods", "reader"), is_over)
    assert pod["status"]["phase"] == "Succeeded"
    assert space.log("reader") == "new"


def test_deletion_lets_a_pod_finish_its_work(space):
    script = "trap 'echo leaving; echo bye >/seen/bye; exit 0' TERM; while :; do sleep 60 & wait $!; done"
    space.running("leaves", shell(script), terminationGracePeriodSeconds=5)
    path = space.path("pods", "leaves")
    follow = space.scene.session.get(
        space.scene.cluster.server + path + "/log", params={"follow": "true"}, stream=True, timeout=10
    )

    with follow:
        answer = space.scene.call("DELETE", path)
        assert answer["metadata"]["deletionGracePeriodSeconds"] == 5
        assert follow.text == "leaving\n/bin/sh: 1: cannot create /seen/bye: Directory nonexistent\n"
    space.scene.until_gone(path)


def test_deletion_kills_what_does_not_listen_when_the_grace_period_is_over(space):
    space.running("stubborn", shell("trap '' TERM; while :; do sleep 60; done"), terminationGracePeriodSeconds=1)
    path = space.path("pods", "stubborn")

    space.scene.call("DELETE", path)

    space.scene.until_gone(path, seconds=20)


def test_many_pods_come_and_go_at_once_and_leave_nothing_on_the_node(scene, space):
    before = interfaces(scene)
    paths = [space.pod(f"many-{number}", shell(SLEEP), shell("exit 1", name="fails")) for number in range(20)]
    for path in paths[::2]:
        space.scene.until(path, lambda pod: "running" in states(pod).get("app", {}).get("state", {}))

    for path in paths:
        space.scene.call("DELETE", path)
    for path in paths:
        space.scene.until_gone(path)

    deadline = time.monotonic() + 30
    while (left := interfaces(scene) - before) and time.monotonic() < deadline:
        time.sleep(0.02)  # the kernel takes a namespace apart in its own time
    assert left == set()


def interfaces(scene):
    """Name the pods' interfaces in the node's network namespace."""
    holder = scene.cluster.handle()["pid"]
    init = Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0]
    lines = Path(f"/proc/{init}/net/dev").read_text().splitlines()
    return {line.split(":")[0].strip() for line in lines if line.strip().startswith("pod")}


def test_a_program_below_tmp_runs_although_the_pod_has_an_empty_dir_there(space, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho runs; touch /tmp/scratch && echo writes\n")
    program.chmod(0o755)
    space.scene.cluster.add_images({"tests/below-tmp": Image(entrypoint=(str(program),), readable=(str(tmp_path),))})

    container = {"name": "app", "image": "tests/below-tmp", "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}]}
    space.finished("below-tmp", container, volumes=[{"name": "tmp", "emptyDir": {}}])

    assert str(tmp_path).startswith("/tmp/")
    assert space.log("below-tmp") == "runs\nwrites\n"
