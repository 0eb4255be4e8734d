"""STRICT refuses plaintext and goes on admitting meshed clients."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mesh_conformance.wording import told
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

VAULT = "http://vault"
POLICY = "test_strict.yaml"


@pytest.fixture
def lenient(bank: MeshNamespace) -> Iterator[MeshNamespace]:
    """Give the namespace without a policy; take the policy away afterwards."""
    yield bank
    bank.delete(POLICY)


@pytest.mark.mesh_feature("StrictRefusesPlaintext")
def test_strict_refuses_plaintext(lenient: MeshNamespace, tester: Client, prober: Client) -> None:
    before = prober.get(VAULT)
    assert before.ok, f"without a policy plaintext is admitted, but gave {told(before)}"

    lenient.apply(POLICY)

    plaintext = prober.get(VAULT)
    assert not plaintext.status, (
        f"STRICT admits plaintext: {plaintext.status} from {plaintext.pod or 'the proxy'}, expected a reset connection"
    )
    assert plaintext.failure == "reset", (
        f"plaintext to a STRICT port ended with {plaintext.failure} ({plaintext.detail}), expected a reset connection"
    )
    meshed = tester.get(VAULT)
    assert meshed.ok, f"STRICT refuses a meshed client too: {told(meshed)}"
    assert meshed.peer.spiffe_id, "STRICT admits a meshed client without a certificate"
