"""Identity decides: what an AuthorizationPolicy lets whom do. Each refusal differs in one thing from what is admitted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from mesh_conformance.wording import told
from pytest_mesh.contracts import Json
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

VAULT = "http://vault"
WIRE = "http://wire:9000"
FORBIDDEN = 403


@pytest.fixture
def guarded(bank: MeshNamespace) -> Iterator[MeshNamespace]:
    """Give the namespace without a policy; take away afterwards what the check applied."""
    yield bank
    applied = [one for one in bank.record.applied if one["kind"] == "AuthorizationPolicy"]
    for name in {one["metadata"]["name"] for one in applied}:
        bank.delete(_policy("", name=name))


@pytest.mark.mesh_feature("AuthzAllow")
def test_allow_admits_whom_it_names_to_what_it_names(guarded: MeshNamespace, tester: Client, prober: Client) -> None:
    stranger = guarded.client("stranger")
    for name, client in (("tester", tester), ("stranger", stranger), ("prober", prober)):
        before = client.get(f"{VAULT}/open/x")
        assert before.ok, f"without a policy {name} is admitted, but got {told(before)}"

    source = {"principals": [_principal(guarded, "tester")]}
    operation = {"methods": ["GET"], "paths": ["/open/*"]}
    guarded.apply(_policy("vault", {"from": [{"source": source}], "to": [{"operation": operation}]}))

    admitted = tester.get(f"{VAULT}/open/x")
    assert admitted.ok, f"the request that the policy allows got {told(admitted)}"
    refused = {
        "another path": tester.get(f"{VAULT}/closed"),
        "another method": tester.request("POST", f"{VAULT}/open/x"),
        "another account": stranger.get(f"{VAULT}/open/x"),
        "no certificate": prober.get(f"{VAULT}/open/x"),
    }
    for difference, response in refused.items():
        assert response.status == FORBIDDEN, f"{difference}: {told(response)}, expected {FORBIDDEN}"


@pytest.mark.mesh_feature("AuthzNamespaces")
def test_a_namespace_is_told_by_the_callers_certificate(guarded: MeshNamespace, tester: Client, prober: Client) -> None:
    guarded.apply(_policy("vault", {"from": [{"source": {"namespaces": [guarded.name]}}]}))
    admitted = tester.get(VAULT)
    assert admitted.ok, f"a caller of the namespace that the policy allows got {told(admitted)}"
    nameless = prober.get(VAULT)
    assert nameless.status == FORBIDDEN, f"a caller without a certificate got {told(nameless)}, expected {FORBIDDEN}"

    guarded.apply(_policy("vault", {"from": [{"source": {"namespaces": [guarded.name[:-1]]}}]}))
    foreign = tester.get(VAULT)
    assert foreign.status == FORBIDDEN, (
        f"a caller of a namespace whose name is longer got {told(foreign)}, expected {FORBIDDEN}"
    )


@pytest.mark.mesh_feature("AuthzDeny")
def test_deny_comes_before_allow(guarded: MeshNamespace, tester: Client, prober: Client) -> None:
    guarded.apply(_policy("vault", {}))
    before = tester.get(f"{VAULT}/secret")
    assert before.ok, f"a policy that allows everything allows this: {told(before)}"

    rule = {
        "from": [{"source": {"principals": [_principal(guarded, "tester")]}}],
        "to": [{"operation": {"paths": ["/secret"]}}],
    }
    guarded.apply(_policy("vault", rule, name="not-the-secret", action="DENY"))

    refused = tester.get(f"{VAULT}/secret")
    assert refused.status == FORBIDDEN, f"what DENY names got {told(refused)}, expected {FORBIDDEN}"
    for what, response in (
        ("another path", tester.get(f"{VAULT}/")),
        ("another caller", prober.get(f"{VAULT}/secret")),
    ):
        assert response.ok, f"DENY refuses {what}, too: {told(response)}"


@pytest.mark.mesh_feature("AuthzTcp")
def test_bytes_are_let_through_by_account_and_port(guarded: MeshNamespace, tester: Client, prober: Client) -> None:
    guarded.stand_in("wire", ports={80: 8080, 9000: 9000})
    guarded.apply("test_authorization.yaml")
    for name, client in (("tester", tester), ("prober", prober)):
        guarded.eventually(partial(_answers, client), f"{name} reaches {WIRE}")

    source = {"principals": [_principal(guarded, "tester")]}
    guarded.apply(_policy("wire", {"from": [{"source": source}], "to": [{"operation": {"ports": ["9000"]}}]}))

    admitted = tester.get(WIRE)
    assert admitted.ok, f"the connection that the policy allows got {told(admitted)}"
    nameless = prober.get(WIRE)
    assert not nameless.status, f"a caller without a certificate got {told(nameless)}, expected a closed connection"

    guarded.apply(_policy("wire", {"from": [{"source": source}], "to": [{"operation": {"ports": ["9001"]}}]}))
    elsewhere = tester.get(WIRE)
    assert not elsewhere.status, f"the policy allows another port, and this one gave {told(elsewhere)}"


def _answers(client: Client) -> bool:
    return client.get(WIRE).ok


def _principal(namespace: MeshNamespace, account: str) -> str:
    return f"{namespace.implementation.trust_domain}/ns/{namespace.name}/sa/{account}"


def _policy(app: str, *rules: Json, name: str = "", action: str = "ALLOW") -> Json:
    spec: dict[str, Any] = {"selector": {"matchLabels": {"app": app}}, "action": action, "rules": list(rules)}
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": name or app},
        "spec": spec,
    }
