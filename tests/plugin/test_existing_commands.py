"""``pytest-mesh rbac`` and ``pytest-mesh images``: what they print, and what they refuse."""

from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from pytest_mesh.cli import main
from pytest_mesh.clusters.existing import rbac, rights
from pytest_mesh.contracts import Implementation


def call(*arguments):
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def printed(*arguments):
    done = call("rbac", *arguments)
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


def of_kind(documents, kind):
    return {one["metadata"]["name"]: one for one in documents if one["kind"] == kind}


def test_what_is_printed_gives_every_right_that_is_checked_and_no_other():
    documents = printed()
    roles = of_kind(documents, "ClusterRole")

    for name, table in (("pytest-mesh", rights.IN_CLUSTER), ("pytest-mesh-namespace", rights.IN_NAMESPACE)):
        assert roles[name]["rules"] == [rule.document() for rule in table]
    assert not [rule for role in roles.values() for rule in role["rules"] if "*" in str(rule)]
    cluster_wide = [rule for rule in roles["pytest-mesh"]["rules"] if "secrets" in rule["resources"]]
    assert cluster_wide == []
    (binding,) = of_kind(documents, "ClusterRoleBinding").values()
    assert binding["roleRef"]["name"] == "pytest-mesh"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pytest-mesh", "namespace": "pytest-mesh"}]


def test_the_signing_key_is_readable_by_name_alone_or_not_at_all():
    role = of_kind(printed(), "Role")["pytest-mesh-root"]

    assert role["metadata"]["namespace"] == "istio-system"
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["cacerts", "istio-ca-secret"]}
    ]
    assert list(of_kind(printed("--no-root-secret"), "Role")) == ["pytest-mesh-control-plane"]
    assert not of_kind(rbac.documents(rbac.Account(), Implementation(name="x")), "Role")


def test_the_policy_names_the_account_and_can_be_left_out():
    kind = "ValidatingAdmissionPolicy"
    policy = of_kind(printed("-n", "team", "--name", "ci"), kind)["pytest-mesh.team.ci"]

    (condition,) = policy["spec"]["matchConditions"]
    assert condition["expression"] == "request.userInfo.username == 'system:serviceaccount:team:ci'"
    assert not of_kind(printed("--no-policy"), kind)


def test_two_accounts_share_roles_and_nothing_else():
    first, second = printed(), printed("-n", "team", "--name", "ci")

    shared = {(one["kind"], one["metadata"]["name"]) for one in first} & {
        (one["kind"], one["metadata"]["name"]) for one in second
    }
    assert shared == {("ClusterRole", "pytest-mesh"), ("ClusterRole", "pytest-mesh-namespace")}


def test_an_installation_has_a_role_of_its_own_that_says_what_it_is():
    done = call("rbac", "--install")

    roles = of_kind(yaml.safe_load_all(done.stdout), "ClusterRole")
    assert roles["pytest-mesh-install"]["rules"] == [rule.document() for rule in rights.TO_INSTALL]
    assert "cluster administrator in all but" in done.stdout
    assert "istio-system" not in done.stdout, "it is not there before the installation"
    assert "pytest-mesh-install" not in call("rbac").stdout


def test_json_is_one_list_and_a_pull_secret_is_readable_by_name():
    done = call("rbac", "-o", "json", "--pull-secret", "team/pull")

    items = json.loads(done.stdout)["items"]
    role = next(one for one in items if one["metadata"].get("namespace") == "team" and one["kind"] == "Role")
    assert role["rules"][0]["resourceNames"] == ["pull"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["rbac", "--implementation", "nope"], 2, "no implementation 'nope' (known: istio, none, reference)"),
        (["rbac", "--pull-secret", "x"], 2, "want NAMESPACE/NAME"),
        (["rbac", "kubeconfig", "--duration", "8x"], 2, "want a number of s, m or h"),
        (["rbac", "kubeconfig", "--kubeconfig", "/absent"], 10, "no kubeconfig at /absent"),
        (["rbac", "check", "--kubeconfig", "/absent"], 10, "no kubeconfig at /absent"),
        (["images", "push"], 2, "--registry: say where to push them"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments, code, words):
    done = call(*arguments)

    assert done.exit_code == code
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_images_are_named_as_the_nodes_will_ask_for_them():
    assert call("images", "list").stdout == "pytest-mesh/workload\n"
    listed = call("images", "list", "--registry", "r.example/t", "--tag", "7", "--implementation", "reference").stdout
    assert listed.split() == [
        "r.example/t/pytest-mesh/workload:7",
        "r.example/t/mesh-reference/istiod:7",
        "r.example/t/mesh-reference/proxyv2:7",
    ]
