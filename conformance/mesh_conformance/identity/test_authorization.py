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
def guarded(bank: MeshNamespace, prober: Client) -> Iterator[MeshNamespace]:
    """Give the namespace without a policy, where each request makes its own connection: a proxy may let the ones that it
    has live on under the policies of their beginning. Take away afterwards what the check applied.
    """
    bank.apply("test_authorization.yaml")
    yield bank
    applied = [one for one in bank.record.applied if one["kind"] == "AuthorizationPolicy"]
    for name in {one["metadata"]["name"] for one in applied}:
        bank.delete(_policy("", name=name))
    bank.eventually(lambda: prober.get(VAULT).ok, "the vault is open to everybody again")
    bank.delete("test_authorization.yaml")


@pytest.mark.mesh_feature("AuthzAllow")
def test_allow_admits_whom_it_names_to_what_it_names(guarded: MeshNamespace, tester: Client, prober: Client) -> None:
    stranger = guarded.client("stranger")
    for name, client in (("tester", tester), ("stranger", stranger), ("prober", prober)):
        before = client.get(f"{VAULT}/open/x")
        assert before.ok, f"without a policy {name} is admitted, but got {told(before)}"

    source = {"principals": [_principal(guarded, "tester")]}
    operation = {"methods": ["GET"], "paths": ["/open/*"]}
    guarded.apply(_policy("vault", {"from": [{"source": source}], "to": [{"operation": operation}]}))

    _await_refusal(guarded, prober, f"{VAULT}/open/x")
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
    _await_refusal(guarded, prober, VAULT)
    admitted = tester.get(VAULT)
    assert admitted.ok, f"a caller of the namespace that the policy allows got {told(admitted)}"

    # The caller's namespace begins with this one's name.
    guarded.apply(_policy("vault", {"from": [{"source": {"namespaces": [guarded.name[:-1]]}}]}))
    _await_refusal(guarded, tester, VAULT)


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

    _await_refusal(guarded, tester, f"{VAULT}/secret")
    for what, response in (
        ("another path", tester.get(f"{VAULT}/")),
        ("another caller", prober.get(f"{VAULT}/secret")),
    ):
        assert response.ok, f"DENY refuses {what}, too: {told(response)}"


@pytest.mark.mesh_feature("AuthzTcp")
def test_bytes_are_let_through_by_account_and_port(guarded: MeshNamespace, tester: Client, prober: Client) -> None:
    guarded.stand_in("wire", ports={80: 8080, 9000: 9000}, wait=False)
    guarded.apply("test_authorization.yaml")
    for name, client in (("tester", tester), ("prober", prober)):
        guarded.eventually(partial(_answers, client), f"{name} reaches {WIRE}")

    source = {"principals": [_principal(guarded, "tester")]}
    guarded.apply(_policy("wire", {"from": [{"source": source}], "to": [{"operation": {"ports": ["9000"]}}]}))

    guarded.eventually(partial(_gets_nothing, prober), f"{WIRE} refuses a caller without a certificate")
    admitted = tester.get(WIRE)
    assert admitted.ok, f"the connection that the policy allows got {told(admitted)}"

    guarded.apply(_policy("wire", {"from": [{"source": source}], "to": [{"operation": {"ports": ["9001"]}}]}))
    guarded.eventually(partial(_gets_nothing, tester), f"{WIRE} refuses the account on a port that is not the policy's")


def _await_refusal(namespace: MeshNamespace, client: Client, url: str) -> None:
    """Wait until the server's proxy has the policy: that refuses this request, whatever it says of others."""

    def refused() -> bool:
        return client.get(url).status == FORBIDDEN

    namespace.eventually(refused, f"{url} answers {client.name} with {FORBIDDEN}")


def _gets_nothing(client: Client) -> bool:
    return not client.get(WIRE).status


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
