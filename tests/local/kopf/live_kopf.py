"""A kopf operator runs on the embedded cluster as it is: ``make kopf`` (``kopf run``, a process of its own)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from kubernetes import client, config

from pytest_mesh.clusters.local import doctor
from pytest_mesh.clusters.local.cluster import LocalCluster

HERE = Path(__file__).parent
SECONDS = 30.0
GROUP = ("rooms.example", "v1")
NAMESPACE = "rooms"
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rooms.rooms.example"},
    "spec": {
        "group": "rooms.example",
        "scope": "Namespaced",
        "names": {"plural": "rooms", "singular": "room", "kind": "Room"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "properties": {"seats": {"type": "integer"}}},
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    doctor.require_local(envoy=False)
    cluster = LocalCluster.start("kopf", run_dir=tmp_path_factory.mktemp("cluster") / "kopf", lifeline=True)
    try:
        yield cluster
        for log in (cluster.directory / "logs").glob("*.log"):
            assert "Traceback" not in log.read_text(), f"{log.name}:\n{log.read_text()}"
    finally:
        cluster.down()


@pytest.fixture(scope="module")
def api(cluster):
    with config.new_client_from_config(str(cluster.kubeconfig)) as connection:
        client.CoreV1Api(connection).create_namespace({"metadata": {"name": NAMESPACE}})
        client.ApiextensionsV1Api(connection).create_custom_resource_definition(DEFINITION)
        yield connection


@pytest.fixture(scope="module")
def operator(cluster, api, tmp_path_factory):
    log = tmp_path_factory.mktemp("operator") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", str(HERE / "operator_of_rooms.py"), "-n", NAMESPACE, "--standalone"],
            env={"KUBECONFIG": str(cluster.kubeconfig), "PATH": "/usr/bin:/bin", "HOME": str(log.parent)},
            stdout=file,
            stderr=file,
        )
    try:
        yield process
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def room(api, operator):
    """Make a Room; give its name. It is gone afterwards."""
    rooms = client.CustomObjectsApi(api)
    name = f"room-{time.monotonic_ns()}"
    body = {"apiVersion": "rooms.example/v1", "kind": "Room", "metadata": {"name": name}, "spec": {"seats": 3}}
    rooms.create_namespaced_custom_object(*GROUP, NAMESPACE, "rooms", body)
    yield name
    try:
        rooms.delete_namespaced_custom_object(*GROUP, NAMESPACE, "rooms", name)
    except client.ApiException as error:
        if error.status != 404:
            raise
    until(lambda: read(api, name) is None, "the Room's end")


def until(condition, what):
    """Wait until ``condition()`` gives something true; give that."""
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come within {SECONDS} s"
        time.sleep(0.1)
    return found


def read(api, name):
    try:
        return client.CustomObjectsApi(api).get_namespaced_custom_object(*GROUP, NAMESPACE, "rooms", name)
    except client.ApiException as error:
        if error.status != 404:
            raise
        return None


def config_map(api, name):
    found = client.CoreV1Api(api).list_namespaced_config_map(NAMESPACE, field_selector=f"metadata.name={name}").items
    return found[0] if found else None


def test_a_created_object_gets_its_child_its_finalizer_its_status_and_an_event(api, room):
    child = until(lambda: config_map(api, f"{room}-furniture"), "the ConfigMap")
    made = until(lambda: (found := read(api, room)).get("status", {}).get("furnish") and found, "the status")

    assert child.data == {"seats": "3"}
    assert child.metadata.owner_references[0].uid == made["metadata"]["uid"]
    assert made["status"]["furnish"] == {"furniture": f"{room}-furniture"}
    assert made["metadata"]["finalizers"] == ["rooms.example/held"]
    events = until(
        lambda: [
            one
            for one in client.CoreV1Api(api).list_namespaced_event(NAMESPACE).items
            if one.reason == "Furnished" and one.involved_object.name == room
        ],
        "the event",
    )
    assert events[0].message == "3 seats"


def test_a_change_is_followed(api, room):
    until(lambda: config_map(api, f"{room}-furniture"), "the ConfigMap")

    client.CustomObjectsApi(api).patch_namespaced_custom_object(
        *GROUP, NAMESPACE, "rooms", room, {"spec": {"seats": 8}}
    )

    until(lambda: config_map(api, f"{room}-furniture").data == {"seats": "8"}, "the change of the ConfigMap")
    assert until(lambda: read(api, room)["status"].get("moved"), "the status") == "from 3 to 8"


def test_a_deletion_waits_for_its_handler_and_takes_the_child_along(api, room):
    until(lambda: config_map(api, f"{room}-furniture"), "the ConfigMap")

    client.CustomObjectsApi(api).delete_namespaced_custom_object(*GROUP, NAMESPACE, "rooms", room)

    until(lambda: config_map(api, f"{room}-cleared"), "what the handler writes down")
    until(lambda: read(api, room) is None, "the Room's end")
    until(lambda: config_map(api, f"{room}-furniture") is None, "the ConfigMap's end")


def test_a_timer_writes_the_status_again_and_again(api, room):
    until(lambda: (read(api, room).get("status") or {}).get("aired") == 3, "the third turn of the timer")


def test_objects_of_other_kinds_are_watched_by_label(api, operator):
    core = client.CoreV1Api(api)
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "plain"}})
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "watched", "labels": {"watched": "yes"}}})

    until(lambda: config_map(api, "watched").metadata.annotations == {"seen-by": "operator"}, "the annotation")
    assert config_map(api, "plain").metadata.annotations is None
