"""The judge of injected Pods: a right Pod has no complaint, and each thing that is missing or lost has one."""

from __future__ import annotations

import copy

import pytest

from mesh_conformance.injection.admitted_pods import comparable, differences, replica
from mesh_conformance.injection.pod_contents import is_injected, lost_parts, missing_parts
from pytest_mesh import documents
from pytest_mesh.implementations import SHIPPED
from pytest_mesh.implementations.loader import load

REFERENCE = load(SHIPPED["reference"])

PLAIN = documents.load("""
metadata: { name: shop, labels: { app: shop }, annotations: { note: keep } }
spec:
  hostAliases: [{ ip: 192.0.2.1, hostnames: [printer] }]
  containers:
  - name: shop
    image: shop:1
    env: [{ name: A, value: "1" }]
    readinessProbe: { httpGet: { path: /, port: 80 }, periodSeconds: 3 }
    livenessProbe: { exec: { command: [check] } }
    lifecycle: { postStart: { tcpSocket: { port: 80 } }, preStop: { exec: { command: [sync] } } }
    volumeMounts: [{ name: shelf, mountPath: /shelf }]
  volumes: [{ name: shelf, emptyDir: {} }]
""")


@pytest.fixture
def pod():
    """Give PLAIN as a right mesh injects it."""
    injected = copy.deepcopy(PLAIN)
    injected["metadata"]["labels"]["mesh"] = "yes"
    shop = injected["spec"]["containers"][0]
    shop["readinessProbe"]["httpGet"] = {"path": "/app-health/shop/readyz", "port": 15020}
    shop["lifecycle"]["postStart"] = {"httpGet": {"path": "/app-lifecycle/shop/poststartz", "port": 15020}}
    injected["spec"] |= documents.load("""
initContainers:
- name: istio-init
  args: [istio-iptables, -p, "15001", -z, "15006"]
  securityContext: { capabilities: { add: [NET_ADMIN, NET_RAW] } }
- name: istio-proxy
  restartPolicy: Always
  volumeMounts: [{ name: root }, { name: token }, { name: data }, { name: info }]
volumes:
- { name: shelf, emptyDir: {} }
- { name: root, configMap: { name: istio-ca-root-cert } }
- { name: token, projected: { sources: [{ serviceAccountToken: { audience: istio-ca, path: t } }] } }
- { name: data, emptyDir: {} }
- { name: info, downwardAPI: {} }
""")
    return injected


def test_a_right_pod_has_no_complaint(pod):
    assert is_injected(pod, REFERENCE)
    assert missing_parts(pod, REFERENCE) == []
    assert lost_parts(PLAIN, pod) == []


def test_a_plain_pod_lacks_both_containers():
    assert not is_injected(PLAIN, REFERENCE)
    assert missing_parts(PLAIN, REFERENCE) == ["no container istio-proxy", "no init container istio-init"]


def proxy_that_ends(pod):
    del pod["spec"]["initContainers"][1]["restartPolicy"]


def init_without_outbound_port(pod):
    pod["spec"]["initContainers"][0]["args"][2] = "15999"


def init_without_capability(pod):
    pod["spec"]["initContainers"][0]["securityContext"] = {}


def init_after_proxy(pod):
    pod["spec"]["initContainers"].reverse()


def unmounted(name):
    def break_it(pod):
        mounts = pod["spec"]["initContainers"][1]["volumeMounts"]
        mounts[:] = [one for one in mounts if one["name"] != name]

    break_it.__name__ = f"without_{name}"
    return break_it


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (proxy_that_ends, "restartPolicy: Always"),
        (init_without_outbound_port, "not told the outbound port 15001"),
        (init_without_capability, "NET_ADMIN"),
        (init_after_proxy, "comes after istio-proxy"),
        (unmounted("root"), "istio-ca-root-cert"),
        (unmounted("token"), "projected token"),
        (unmounted("data"), "emptyDir"),
        (unmounted("info"), "labels and annotations"),
    ],
)
def test_each_missing_part_is_complained_of(pod, break_it, complaint):
    break_it(pod)

    (said,) = missing_parts(pod, REFERENCE)

    assert complaint in said


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        (("metadata", "labels", "app"), "label app"),
        (("metadata", "annotations", "note"), "annotation note"),
        (("spec", "hostAliases"), "hostAliases"),
        (("spec", "volumes", 0), "volumes: shelf"),
        (("spec", "containers", 0, "image"), "container shop: image"),
        (("spec", "containers", 0, "env", 0), "env: A"),
        (("spec", "containers", 0, "readinessProbe"), "readinessProbe is gone"),
        (("spec", "containers", 0, "readinessProbe", "httpGet"), "readinessProbe: httpGet is gone"),
        (("spec", "containers", 0, "readinessProbe", "periodSeconds"), "periodSeconds 3 became None"),
        (("spec", "containers", 0, "livenessProbe", "exec", "command", 0), "livenessProbe: exec"),
        (("spec", "containers", 0, "lifecycle", "preStop"), "preStop is gone"),
        (("spec", "containers", 0, "lifecycle", "preStop", "exec", "command"), "preStop: exec"),
        (("spec", "containers", 0), "container shop is gone"),
    ],
)
def test_each_lost_part_is_complained_of(pod, path, complaint):
    *parents, last = path
    place = pod
    for step in parents:
        place = place[step]
    del place[last]

    (said,) = lost_parts(PLAIN, pod)

    assert complaint in said


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("readinessProbe", "periodSeconds"), 77, "readinessProbe: periodSeconds 3 became 77"),
        (("readinessProbe", "failureThreshold"), 1, "readinessProbe: failureThreshold None became 1"),
        (("livenessProbe", "exec", "command"), ["other"], "livenessProbe: exec {'command': ['check']} became"),
        (("lifecycle", "preStop", "exec", "command"), ["other"], "preStop: exec {'command': ['sync']} became"),
        (("lifecycle", "preStop", "httpGet"), {"port": 80}, "preStop: httpGet was not there"),
    ],
)
def test_what_is_written_over_in_a_probe_or_a_hook_is_complained_of(pod, path, value, complaint):
    *parents, last = ("spec", "containers", 0, *path)
    place = pod
    for step in parents:
        place = place[step]
    place[last] = value

    (said,) = lost_parts(PLAIN, pod)

    assert complaint in said


def test_differences_name_each_place_and_only_those():
    left = {"a": [1, {"b": 2}], "c": 3, "same": 0}

    assert differences(left, copy.deepcopy(left)) == []
    assert differences(left, {"a": [1, {"b": 5}], "d": 4, "same": 0}) == [
        "a[1].b: 2 against 5",
        "c: 3 against None",
        "d: None against 4",
    ]
    assert differences({"a": [1]}, {"a": [1, 2]}) == ["a: [1] against [1, 2]"]


def test_a_replica_is_the_pod_of_the_deployments_replica_set():
    deployment = {"metadata": {"name": "shop"}}
    template = {"metadata": {"labels": {"app": "shop"}}, "spec": PLAIN["spec"]}

    pod = replica(deployment, template)

    assert pod["metadata"]["generateName"] == "shop-5d4f8c7b9d-"
    assert pod["metadata"]["labels"] == {"app": "shop", "pod-template-hash": "5d4f8c7b9d"}
    assert pod["metadata"]["ownerReferences"][0]["name"] == "shop-5d4f8c7b9d"
    assert template["metadata"] == {"labels": {"app": "shop"}}
    assert set(comparable({**pod, "status": {}})) == {"metadata", "spec"}
