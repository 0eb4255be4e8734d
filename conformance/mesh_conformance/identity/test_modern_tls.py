"""A server of the mesh speaks TLS 1.2 and later by strong ciphers, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.wire import PROBE_SECONDS, identity_of
from pytest_mesh.failures import Inconclusive
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.minting import mint
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client

POLICY = "test_strict.yaml"
STRONG = "ECDHE+AESGCM"
WEAK = {
    "CBC and SHA-1": "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:AES128-SHA",
    "CBC and SHA-2": "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:AES128-SHA256",
}
"""What TLS 1.2 can be asked for and must not be given."""
SERVERS_WORD = ("ALERT", "ConnectionResetError", "EOF")
"""What a refusal by the other side looks like; anything else is the prober's own library."""


@pytest.fixture
def strict(bank: MeshNamespace) -> Iterator[MeshNamespace]:
    """Give the namespace with a vault that wants mutual TLS; the policy goes afterwards."""
    bank.apply(POLICY)
    yield bank
    bank.delete(POLICY)


@pytest.mark.mesh_feature("StrictModernTls")
def test_old_versions_and_weak_ciphers_are_not_spoken(mesh: RunningMesh, strict: MeshNamespace, prober: Client) -> None:
    svid = mint(signing_authority(mesh, strict), [identity_of(strict, "tester")], now=datetime.now(UTC))
    address = strict.pod("vault")["status"]["podIP"]
    offers = {
        "TLS 1.3": ("TLSv1.3", "", True),
        "TLS 1.2": ("TLSv1.2", STRONG, True),
        "TLS 1.1": ("TLSv1.1", "", False),
        "TLS 1.0": ("TLSv1", "", False),
        **{f"TLS 1.2 with {name}": ("TLSv1.2", ciphers, False) for name, ciphers in WEAK.items()},
    }
    met = {}
    for name, (tls, ciphers, wanted) in offers.items():
        shown = prober.probe(
            address,
            HTTP_PORT,
            certificate_chain=svid.chain,
            private_key=svid.key,
            tls=tls,
            ciphers=ciphers,
            timeout=PROBE_SECONDS,
        )
        met[name] = "spoken" if shown.chain else shown.failure
        if wanted:
            assert shown.admitted, f"{name} is not spoken: {shown.failure}"
            continue
        # Whoever shows its certificate has agreed on the version and the cipher, whatever comes after.
        assert not shown.chain, f"{name} is spoken: the server showed its certificate ({shown.failure or 'admitted'})"
        if not any(word in shown.failure for word in SERVERS_WORD):
            raise Inconclusive(f"{name}: the prober's own library would not offer it: {shown.failure}")
    strict.facts(offers=met)
