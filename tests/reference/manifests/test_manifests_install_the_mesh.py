"""``refmesh manifests``: what it prints is complete, in order, and consistent in itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from mesh_reference import documents, manifests, mesh_config
from mesh_reference.cli import main
from mesh_reference.kube.resources import CONFIG_MAPS, NAMESPACES
from mesh_reference.model.schema.kinds import KINDS
from mesh_reference.settings import OutboundPolicy, Settings
from mesh_reference.store.index import WATCHED

Json = dict[str, Any]


def printed(*arguments: str) -> list[Json]:
    result = CliRunner().invoke(main, ["manifests", "-o", "json", *arguments])
    assert result.exit_code == 0, result.output
    items: list[Json] = json.loads(result.stdout)["items"]
    return items


def one(objects: list[Json], kind: str) -> Json:
    found = [item for item in objects if item["kind"] == kind]
    assert len(found) == 1
    return found[0]


def test_the_names_are_the_golden_ones(golden: Callable[[str, str], None]) -> None:
    lines = []
    for item in printed():
        namespace = item["metadata"].get("namespace")
        name = f"{namespace}/{item['metadata']['name']}" if namespace else item["metadata"]["name"]
        lines.append(f"{item['apiVersion']} {item['kind']} {name}\n")
    golden("names.txt", "".join(lines))


def test_what_is_not_a_definition_is_the_golden_one(golden: Callable[[str, str], None]) -> None:
    others = [item for item in printed() if item["kind"] != "CustomResourceDefinition"]
    golden("manifests.yaml", documents.dump_all(others))


def test_yaml_and_json_say_the_same() -> None:
    result = CliRunner().invoke(main, ["manifests"])
    written = [item.value for item in documents.load_all(result.stdout)]
    assert written == printed() == manifests.objects(manifests.Installation())


def test_the_service_leads_to_the_ports_of_istiod() -> None:
    objects = printed()
    service, deployment = one(objects, "Service"), one(objects, "Deployment")
    ports = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert ports == {15010: 15010, 15012: 15012, 15013: 15013, 443: 15017, 15014: 15014}
    template = deployment["spec"]["template"]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert {port["containerPort"] for port in container["ports"]} >= set(ports.values())
    assert container["image"] == "mesh-reference/istiod"
    assert template["spec"]["serviceAccountName"] == one(objects, "ServiceAccount")["metadata"]["name"]
    assert template["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def test_the_webhooks_call_the_service_that_is_there() -> None:
    objects = printed()
    service = one(objects, "Service")["metadata"]
    for kind, path in (("MutatingWebhookConfiguration", "/inject"), ("ValidatingWebhookConfiguration", "/validate")):
        for webhook in one(objects, kind)["webhooks"]:
            assert webhook["clientConfig"] == {
                "service": {"name": service["name"], "namespace": service["namespace"], "path": path, "port": 443}
            }
            assert webhook["sideEffects"] == "None"
            assert webhook["admissionReviewVersions"] == ["v1"]
            assert webhook["failurePolicy"] == "Fail"


def test_the_rights_name_the_account_and_cover_everything_that_istiod_watches() -> None:
    objects = printed()
    role, binding = one(objects, "ClusterRole"), one(objects, "ClusterRoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "istiod", "namespace": "istio-system"}]
    acted_on = [kind for kind in KINDS if kind.acted_on]
    watched = {(kind.group, kind.plural) for kind in (*acted_on, *WATCHED, NAMESPACES, CONFIG_MAPS)}
    for group, plural in watched:
        assert any(
            group in rule["apiGroups"]
            and plural in rule["resources"]
            and {"get", "list", "watch"} <= set(rule["verbs"])
            for rule in role["rules"]
        ), plural


def test_the_authoritys_secrets_are_the_only_ones_that_istiod_may_read() -> None:
    objects = printed()
    rules = [*one(objects, "ClusterRole")["rules"], *one(objects, "Role")["rules"]]
    secrets = [rule for rule in rules if "secrets" in rule["resources"]]
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in secrets] == [
        (["create"], None),
        (["get", "update"], ["istio-ca-secret"]),
        (["get", "list", "watch"], ["cacerts"]),
    ]


def test_the_mesh_config_is_one_that_istiod_reads() -> None:
    objects = printed(
        "--set", "meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY", "--set", "meshConfig.enableAutoMtls=false"
    )
    config = mesh_config.parse_mesh_config(one(objects, "ConfigMap")["data"]["mesh"])
    settings = mesh_config.settings_with(Settings(), config)
    assert settings.outbound_policy is OutboundPolicy.REGISTRY_ONLY
    assert settings.auto_mtls is False
    assert mesh_config.injection_settings(Settings(), config).trust_domain == "cluster.local"


def test_a_revision_has_objects_of_its_own() -> None:
    objects = printed("--set", "revision=canary", "--set", "namespace=mesh")
    names = {item["kind"]: item["metadata"]["name"] for item in objects if item["kind"] != "CustomResourceDefinition"}
    assert names == {
        "Namespace": "mesh",
        "ServiceAccount": "istiod-canary",
        "ClusterRole": "istiod-canary-mesh",
        "ClusterRoleBinding": "istiod-canary-mesh",
        "Role": "istiod-canary",
        "RoleBinding": "istiod-canary",
        "ConfigMap": "istio-canary",
        "Service": "istiod-canary",
        "Deployment": "istiod-canary",
        "MutatingWebhookConfiguration": "istio-sidecar-injector-canary",
        "ValidatingWebhookConfiguration": "istio-validator-canary-mesh",
    }
    env = {entry["name"]: entry.get("value") for entry in containers(objects)[0]["env"]}
    assert env["REVISION"] == "canary"
    assert all(
        webhook["name"].startswith("rev.") for webhook in one(objects, "MutatingWebhookConfiguration")["webhooks"]
    )


def containers(objects: list[Json]) -> list[Json]:
    found: list[Json] = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found


def test_images_and_environment_can_be_chosen() -> None:
    objects = printed(
        *("--set", "image=example/istiod:1", "--set", "proxyImage=example/proxy:1", "--set", "imagePullPolicy=Never"),
        *("--set", "replicas=2", "--set", "env.ENABLE_NATIVE_SIDECARS=false"),
    )
    (container,) = containers(objects)
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (container["image"], container["imagePullPolicy"]) == ("example/istiod:1", "Never")
    assert (env["PROXY_IMAGE"], env["ENABLE_NATIVE_SIDECARS"]) == ("example/proxy:1", "false")
    assert one(objects, "Deployment")["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("imgae=x", "did you mean 'image'?"),
        ("image", "want KEY=VALUE"),
        ("replicas=two", "want a whole number"),
        ("meshConfig.trustDomian=x", 'did you mean "trustDomain"?'),
        ("meshConfig.enableAutoMtls=perhaps", "want true or false"),
        ("meshConfig.outboundTrafficPolicy.mode=DENY", 'supported values: "ALLOW_ANY", "REGISTRY_ONLY"'),
        ("meshConfig.trustDomain.deep=x", "trustDomain is no map"),
        ("meshConfig.defaultConfig.statusPort=0", "must be in the range 1..65535"),
    ],
)
def test_a_bad_choice_is_refused_with_the_reason(choice: str, message: str) -> None:
    result = CliRunner().invoke(main, ["manifests", "--set", "meshConfig.trustDomain=a", "--set", choice])
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_revision_of_its_own_namespaces_knows_its_own_namespace_and_checks_its_own_objects() -> None:
    objects = printed(
        "--set",
        "revision=a",
        "--set",
        "namespace=istio-a",
        "--set",
        "meshConfig.discoverySelectors[0].matchLabels.side=1",
    )
    assert one(objects, "Namespace")["metadata"] == {"name": "istio-a", "labels": {"side": "1"}}
    (webhook,) = one(objects, "ValidatingWebhookConfiguration")["webhooks"]
    expression = {"key": "istio.io/rev", "operator": "In", "values": ["a"]}
    assert webhook["objectSelector"] == {"matchExpressions": [expression]}
    config = mesh_config.parse_mesh_config(one(objects, "ConfigMap")["data"]["mesh"])
    assert config["defaultConfig"] == {"discoveryAddress": "istiod-a.istio-a.svc:15012"}


@pytest.mark.parametrize(
    "key", ["discoverySelectors[1].matchLabels.a", "discoverySelectors[x].a", "discoverySelectors[0.a"]
)
def test_a_list_is_filled_from_its_beginning(key: str) -> None:
    result = CliRunner().invoke(main, ["manifests", "--set", f"meshConfig.{key}=b"])
    assert result.exit_code == 2
    assert "discoverySelectors" in result.output


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("image=", "want a value"),
        ("trustDomain= ", "want a value"),
        ("imagePullPolicy=Anything", "want Always, IfNotPresent or Never"),
        ("namespace=No_Such", "want a DNS label"),
        ("revision=-a", "want a DNS label"),
    ],
)
def test_a_value_that_a_setting_cannot_have_is_refused(choice: str, wanted: str) -> None:
    result = CliRunner().invoke(main, ["manifests", "--set", choice])
    assert result.exit_code == 2
    assert f"{choice}: {wanted}" in " ".join(result.stderr.split())


def test_what_only_looks_like_a_number_is_text() -> None:
    objects = printed("--set", "meshConfig.accessLogFile=--5")
    assert mesh_config.parse_mesh_config(one(objects, "ConfigMap")["data"]["mesh"])["accessLogFile"] == "--5"


def test_a_mesh_config_of_several_documents_is_refused() -> None:
    with pytest.raises(mesh_config.MeshConfigError, match="line 4: a second document"):
        mesh_config.parse_mesh_config("---\nenableAutoMtls: true\n---\nenableAutoMtls: false\n")
