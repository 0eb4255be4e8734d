"""``refmesh kube-inject``: manifests in, manifests out (row §2.6)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jsonpatch
import pytest
from click.testing import CliRunner, Result

from mesh_reference import documents
from mesh_reference.cli import main
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.injection.workloads import inject_object
from mesh_reference.webhooks import review
from mesh_reference.webhooks.server import answer_inject

Json = dict[str, Any]
TEMPLATE = """
metadata: {labels: {app: web}}
spec:
  containers:
  - name: web
    image: example/web
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /, port: 8080}}
"""
MIXED = """\
# The Service comes first; it is none of the injector's business.
apiVersion: v1
kind: Service
metadata: {name: web}   # and keeps its style
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example/web}]}
---
# Nothing but a comment.
---
apiVersion: example.com/v1
kind: Rollout   # unknown kinds pass
spec: {template: {spec: {containers: [{name: x}]}}}
"""


def template() -> Json:
    value: Json = documents.load_all(TEMPLATE)[0].value
    return value


def workload(kind: str) -> Json:
    api = {
        "Pod": "v1",
        "ReplicationController": "v1",
        "Job": "batch/v1",
        "CronJob": "batch/v1",
        "DeploymentConfig": "apps.openshift.io/v1",
    }.get(kind, "apps/v1")
    inner = template()
    if kind == "Pod":
        inner["metadata"]["name"] = "web"
        return {"apiVersion": api, "kind": kind, **inner}
    spec: Json = {"template": inner}
    if kind == "CronJob":
        spec = {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "web"}, "spec": spec}


def pod_of(value: Json) -> Json:
    if value["kind"] == "Pod":
        return {"metadata": value["metadata"], "spec": value["spec"]}
    spec: Json = value["spec"]
    found: Json = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]
    return found


def run(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["kube-inject", "-f", "-", *arguments], input=text)


@pytest.mark.parametrize(
    "kind",
    [
        "Deployment",
        "DaemonSet",
        "StatefulSet",
        "ReplicaSet",
        "ReplicationController",
        "DeploymentConfig",
        "Job",
        "CronJob",
        "Pod",
    ],
)
def test_the_pod_template_of_every_workload_is_injected_and_nothing_else_changes(kind: str) -> None:  # IK1
    before = workload(kind)
    outcome = inject_object(before, "shop", InjectionSettings())
    assert outcome.changed
    names = [item["name"] for item in pod_of(outcome.value)["spec"]["initContainers"]]
    assert names == ["istio-init", "istio-proxy"]
    pod = pod_of(outcome.value)
    pod.clear()
    pod.update(template() if kind != "Pod" else {"metadata": before["metadata"], "spec": before["spec"]})
    if kind != "Pod":
        assert outcome.value == before


def test_a_list_is_injected_item_by_item() -> None:  # IK2
    outcome = inject_object(
        {"kind": "List", "items": [workload("Deployment"), {"kind": "Service"}]}, "shop", InjectionSettings()
    )
    first, second = outcome.value["items"]
    assert pod_of(first)["spec"]["initContainers"]
    assert second == {"kind": "Service"}


def test_a_pod_template_in_a_kind_that_is_not_known_passes_untouched_with_a_note() -> None:  # IK3
    value = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": template()}}
    outcome = inject_object(value, "shop", InjectionSettings())
    assert (outcome.changed, outcome.value) == (False, value)
    assert outcome.notes == (
        (
            "Skipping argoproj.io/v1alpha1 Rollout: its pod template is not injected here, "
            "only the webhook can inject its pods"
        ),
    )


def test_a_workload_on_the_hosts_network_passes_untouched_with_a_note() -> None:  # IB1 IK5
    value = workload("Deployment")
    pod_of(value)["spec"]["hostNetwork"] = True
    outcome = inject_object(value, "shop", InjectionSettings())
    assert not outcome.changed
    assert outcome.value is value
    assert outcome.notes == ('Skipping injection of Deployment "shop/web": the pod uses the host\'s network',)


@pytest.mark.parametrize("native", [True, False])
def test_a_file_says_what_the_webhook_makes_of_the_pods_of_its_workload(native: bool) -> None:  # IK8
    settings = InjectionSettings(native_sidecar=native)
    value = workload("Deployment")
    created = template()
    created["metadata"] |= {
        "generateName": "web-5d8c7f6b9-",
        "namespace": "shop",
        "ownerReferences": [
            {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8c7f6b9", "uid": "u", "controller": True}
        ],
    }
    created["metadata"]["labels"]["pod-template-hash"] = "5d8c7f6b9"
    request = review.Request(uid="1", operation="CREATE", namespace="shop", object=created, dry_run=False)
    response = answer_inject(request, "/inject", settings)["response"]
    admitted = jsonpatch.apply_patch(created, json.loads(base64.b64decode(response["patch"])))
    for name in ("generateName", "namespace", "ownerReferences"):
        del admitted["metadata"][name]
    del admitted["metadata"]["labels"]["pod-template-hash"]
    assert pod_of(inject_object(value, "shop", settings).value) == admitted


def test_a_file_of_many_documents_is_the_golden_one(golden: Callable[[str, str], None]) -> None:  # IK4
    result = run(MIXED)
    assert result.exit_code == 0
    golden("kube-inject.yaml", result.stdout)


def test_documents_that_are_not_injected_stay_as_they_were_written() -> None:  # IK3 IK4
    printed = run(MIXED).stdout.split("---\n")
    assert printed[0] == MIXED.split("---\n", maxsplit=1)[0]
    assert printed[2] == "# Nothing but a comment.\n"
    assert printed[3] == MIXED.split("---\n")[3]


def test_injecting_the_output_again_prints_the_same() -> None:  # IR1 IK4
    once = run(MIXED).stdout
    assert run(once).stdout == once


def test_the_namespace_option_counts_where_the_object_names_none() -> None:  # IB2 IK6
    deployment = json.dumps(workload("Deployment"))
    assert "namespaces/shop/deployments/web" in run(deployment, "-n", "shop").stdout
    result = run(deployment, "-n", "kube-system")
    assert "istio-proxy" not in result.stdout
    assert "namespace kube-system is never injected" in result.stderr


def test_regular_sidecars_can_be_chosen() -> None:  # IC7 IK6
    result = run(json.dumps(workload("Deployment")), "--no-native-sidecar")
    assert "restartPolicy" not in result.stdout


def test_a_revision_has_a_control_plane_of_its_own() -> None:  # IK6
    result = run(json.dumps(workload("Deployment")), "--revision", "canary")
    assert "value: istiod-canary.istio-system.svc:15012" in result.stdout
    assert "istio.io/rev: canary" in result.stdout


def test_the_output_can_be_a_file(tmp_path: Any) -> None:  # IK6
    place = tmp_path / "injected.yaml"
    assert not run(MIXED, "-o", str(place)).stdout
    assert place.read_text() == run(MIXED).stdout


def test_a_place_that_cannot_be_written_is_named() -> None:  # IK7
    result = run(MIXED, "-o", "/nowhere/injected.yaml")
    assert result.exit_code != 0
    assert "/nowhere/injected.yaml" in result.stderr


def test_a_file_of_10_megabytes_is_one_line_and_exit_code_2() -> None:  # IK7
    result = run(f"# {'x' * 10_500_000}\n{MIXED}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "-:1:1: 10500522 bytes are more than the 8388608 this command reads\n"


def test_a_mesh_config_file_counts(tmp_path: Any) -> None:  # IK6
    config = tmp_path / "mesh.yaml"
    config.write_text("defaultConfig: {proxyMetadata: {SECRET_TTL: 30s}}\ntrustDomain: example.org\n")
    result = run(json.dumps(workload("Deployment")), "--meshConfigFile", str(config))
    assert "SECRET_TTL" in result.stdout
    assert "value: example.org" in result.stdout


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a: [\n", 2, "-:2:1: "),
        ("a: 1\na: 2\n", 2, "-:2:1: duplicate key 'a'"),
        ("kind: Deployment\napiVersion: apps/v1\nspec: {}\n", 1, 'Deployment "default/": spec.template is missing'),
        (
            "kind: Pod\napiVersion: v1\nmetadata:\n  name: x\n  labels: {sidecar.istio.io/inject: true}\nspec: {}\n",
            1,
            "metadata.labels[sidecar.istio.io/inject]: want text, have True: write it in quotes",
        ),
        (
            "kind: Pod\napiVersion: v1\nmetadata:\n  name: x\n  annotations: {sidecar.istio.io/proxyCPU: lots}\nspec: {}\n",
            1,
            "-:1: Pod \"default/x\": invalid value 'lots' for annotation 'sidecar.istio.io/proxyCPU'",
        ),
        ("kind: Pod\napiVersion: v1\nmetadata: x\n", 1, "-:1: Pod: metadata: want a map"),
    ],
)
def test_bad_input_is_one_clear_line_and_the_rest_is_printed(text: str, code: int, message: str) -> None:  # IK7
    result = run(f"{text}---\napiVersion: v1\nkind: Service\n")
    assert result.exit_code == code
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == "apiVersion: v1\nkind: Service\n---\n"


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2() -> None:  # IK7
    result = CliRunner().invoke(main, ["kube-inject", "-f", "/nowhere/x.yaml"])
    assert (result.exit_code, result.stderr) == (2, "/nowhere/x.yaml: No such file or directory\n")


def test_an_unknown_field_of_the_mesh_config_is_refused(tmp_path: Any) -> None:  # IK7
    config = tmp_path / "mesh.yaml"
    config.write_text("trustDomian: x\n")
    result = run("a: b", "--meshConfigFile", str(config))
    assert result.exit_code == 2
    assert 'did you mean "trustDomain"?' in result.stderr


def test_every_manifest_below_a_directory_is_injected_in_the_order_of_paths(tmp_path):  # IK6
    for name in ("b/2.yaml", "a.yml", "b/1.json"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{file.stem}"}}}}\n')
    (tmp_path / "notes.txt").write_text("not a manifest")
    result = CliRunner().invoke(main, ["kube-inject", "-f", str(tmp_path)])
    assert [line for line in result.stdout.splitlines() if "name" in line] == [
        f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name}"}}}}' for name in ("a", "1", "2")
    ]
    assert result.exit_code == 0


def test_a_document_without_kind_is_one_line_and_the_rest_is_printed():  # IK7
    result = run("metadata: {name: a}\n---\napiVersion: v1\nkind: Service\n---\n[1]\n")
    assert result.stderr.splitlines() == [
        "-:1: a document needs apiVersion and kind",
        "-:6: a document needs apiVersion and kind",
    ]
    assert result.stdout == "apiVersion: v1\nkind: Service\n---\n"
    assert result.exit_code == 2
