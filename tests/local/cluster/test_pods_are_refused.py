"""What the embedded cluster cannot run says so at once, and names what to do."""

import pytest
from cluster_scene import SLEEP, RefusedError, is_over, is_ready, shell, states

from pytest_mesh.contracts import Image


def waiting(pod, reason):
    return pod is not None and any(
        (each["state"].get("waiting") or {}).get("reason") == reason for each in states(pod).values()
    )


def test_an_unknown_image_is_said_at_once_with_its_name_and_the_row_to_add(space):
    path = space.pod("unknown", {"name": "app", "image": "ghcr.example/none/such:1.2"})

    pod = space.scene.until(path, lambda pod: waiting(pod, "ErrImagePull"))

    for text in (states(pod)["app"]["state"]["waiting"]["message"], space.event("unknown", "Failed")["message"]):
        assert 'image "ghcr.example/none/such:1.2" is not in this cluster\'s image table' in text
        assert '[images."ghcr.example/none/such"]' in text
        assert "stand_in" in text


def test_an_image_that_is_added_later_lets_the_pod_start(space):
    path = space.pod("late", {**shell(SLEEP), "image": "tests/late"})
    space.scene.until(path, lambda pod: waiting(pod, "ErrImagePull"))

    space.scene.cluster.add_images({"tests/late": Image()})

    space.scene.until(path, is_ready)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hostPID": True}, "hostPID"),
        ({"shareProcessNamespace": True}, "shareProcessNamespace"),
        ({"volumes": [{"name": "disk", "hostPath": {"path": "/"}}]}, "volumes[0] (disk): hostPath"),
    ],
)
def test_an_unsupported_field_fails_the_pod_and_is_named(space, fields, named):
    path = space.pod("refused", shell(SLEEP), **fields)

    pod = space.scene.until(path, is_over)

    assert pod["status"]["phase"] == "Failed"
    assert pod["status"]["reason"] == "Unsupported"
    assert named in pod["status"]["message"]
    assert named in space.event("refused", "Unsupported")["message"]


def test_an_unsupported_probe_is_named_with_its_container(space):
    path = space.pod("refused", shell(SLEEP, readinessProbe={"grpc": {"port": 1}}))

    pod = space.scene.until(path, is_over)

    assert "container app: readinessProbe with grpc" in pod["status"]["message"]


def test_a_missing_config_map_key_is_named(space):
    env = [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "absent", "key": "k"}}}]
    path = space.pod("waits", shell("echo $X; " + SLEEP, env=env))

    pod = space.scene.until(path, lambda pod: waiting(pod, "CreateContainerConfigError"))
    assert '"absent"' in states(pod)["app"]["state"]["waiting"]["message"]

    space.create("configmaps", {"metadata": {"name": "absent"}, "data": {"k": "there"}})
    space.scene.until(path, is_ready)
    assert space.log("waits") == "there\n"


def test_a_program_that_does_not_exist_is_named(space):
    pod = space.finished("nothing", {**shell(""), "command": ["/no/such/program"]})

    terminated = states(pod)["app"]["state"]["terminated"]
    assert terminated["exitCode"] == 128
    assert 'exec: "/no/such/program": no such file or directory' in terminated["message"]


def test_a_container_that_must_not_be_root_does_not_start_as_root(space):
    path = space.pod("rootless", shell(SLEEP, securityContext={"runAsNonRoot": True}))

    pod = space.scene.until(path, lambda pod: waiting(pod, "CreateContainerConfigError"))

    assert "runAsNonRoot" in states(pod)["app"]["state"]["waiting"]["message"]


def test_a_node_selector_that_nothing_matches_leaves_the_pod_pending_with_the_reason(space):
    path = space.pod("elsewhere", shell(SLEEP), nodeSelector={"disk": "ssd"})

    message = space.event("elsewhere", "FailedScheduling")["message"]

    assert "node selector (disk=ssd)" in message
    assert space.scene.get(path)["status"]["phase"] == "Pending"


def test_a_cordoned_node_takes_no_pod_until_it_is_uncordoned(space):
    node, merge = "/api/v1/nodes/mesh-node", "application/merge-patch+json"
    space.scene.call("PATCH", node, {"spec": {"unschedulable": True}}, merge)
    try:
        path = space.pod("waits", shell(SLEEP))
        assert "were unschedulable" in space.event("waits", "FailedScheduling")["message"]
    finally:
        space.scene.call("PATCH", node, {"spec": {"unschedulable": None}}, merge)

    space.scene.until(path, is_ready)


def test_a_misspelt_field_is_refused_by_the_api_when_asked_strictly(space):
    with pytest.raises(RefusedError) as refusal:
        space.scene.call(
            "POST",
            space.path("pods"),
            {"metadata": {"name": "typo"}, "spec": {"containers": [{"name": "a", "imagee": "b"}]}},
            fieldValidation="Strict",
        )

    assert refusal.value.code in {400, 422}
    assert "spec.containers[0].imagee" in str(refusal.value)
