"""The server sees who calls: the identity of the client's certificate, and nothing that the client claims."""

from __future__ import annotations

import pytest

from mesh_conformance.identity.wire import assert_named, identity_of
from mesh_conformance.wording import told
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

VAULT = "http://vault"


@pytest.mark.mesh_feature("PeerIdentityMatches")
def test_the_server_sees_the_identity_of_its_caller(bank: MeshNamespace, tester: Client, prober: Client) -> None:
    # A wrong name on either side breaks the connection, and a broken connection would not tell why.
    for workload in ("vault", "tester"):
        assert_named(prober, bank, workload)
    response = tester.get(VAULT)
    assert response.ok, f"{VAULT} gave {told(response)}"

    seen, expected = response.peer.spiffe_id, identity_of(bank, "tester")

    assert seen == expected, f"the server saw {seen or 'no client certificate'}, expected {expected}"
    own = identity_of(bank, "vault")
    assert response.peer.by == own, f"the server calls itself {response.peer.by or 'nothing'}, expected {own}"


@pytest.mark.mesh_feature("PeerIdentityMatches")
def test_a_forged_identity_is_not_believed(bank: MeshNamespace, tester: Client, prober: Client) -> None:
    expected, forged = identity_of(bank, "tester"), identity_of(bank, "governor")
    headers = {"x-forwarded-client-cert": f"By={identity_of(bank, 'vault')};Hash=00;URI={forged}"}
    seen = tester.get(VAULT, headers=headers).peer.spiffe_id
    assert seen == expected, (
        f"a meshed client that forges x-forwarded-client-cert is seen as {seen or 'nobody'}, expected {expected}"
    )

    plaintext = prober.get(VAULT, headers=headers)

    assert plaintext.ok, f"plaintext to a PERMISSIVE port gave {told(plaintext)}"
    assert not plaintext.peer.spiffe_id, (
        f"a client without a certificate that forges x-forwarded-client-cert is seen as {plaintext.peer.spiffe_id}"
    )
