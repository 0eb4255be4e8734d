"""A root gives way to another in three steps, under traffic: nobody is cut off, and in the end the old one opens nothing.

It restarts the control plane six times and takes a minute and a half: it runs where MESH_EXTENDED is set, and alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mesh_conformance.identity import operator
from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.wire import PROBE_SECONDS, identity_of, presented_chain, published_roots
from mesh_conformance.stage import own_namespace
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.minting import Authority, mint
from pytest_mesh.identity.paths import check_chain
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client

TTL_SECONDS = 20
RENEWAL_SECONDS = 60.0
"""Budget of one renewal everywhere: half a life, and a control plane that is just starting."""
POLICY = {
    "apiVersion": "security.istio.io/v1",
    "kind": "PeerAuthentication",
    "metadata": {"name": "default"},
    "spec": {"mtls": {"mode": "STRICT"}},
}
EACH_ITS_OWN = "test_rotation.yaml"
"""Requests to the till make a connection each; those to the safe share one for as long as it lasts."""


@pytest.fixture
def treasury(request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings) -> Iterator[MeshNamespace]:
    """Give a namespace of this check's own, whose workloads are gone when the root is put back."""
    if not os.environ.get("MESH_EXTENDED"):
        pytest.skip(f"{NOT_APPLICABLE}the extended run has it: MESH_EXTENDED=1")
    mesh.needs("root_secret", "svid_ttl_key", "proxy_metadata_annotation", "ready")
    with own_namespace(request, mesh, mesh_settings, purpose="treasury") as namespace:
        yield namespace


@pytest.mark.mesh_feature("RotationOfRoot")
def test_a_root_is_replaced_in_three_steps_under_traffic_and_no_request_fails(
    mesh: RunningMesh, treasury: MeshNamespace
) -> None:
    old, new = signing_authority(mesh, treasury), Authority.self_signed("the next root", now=datetime.now(UTC))
    for name in ("till", "safe"):
        treasury.stand_in(name, svid_ttl=f"{TTL_SECONDS}s", wait=False)
    prober = treasury.client("prober", inject=False)
    clerk = treasury.client("clerk", svid_ttl=f"{TTL_SECONDS}s")
    treasury.apply(EACH_ITS_OWN)
    treasury.apply(POLICY)
    witness = Witness(treasury, prober, clerk)
    witness.look()

    try:
        with (
            clerk.traffic("http://till", connections=2, reuse=False) as fresh,
            clerk.traffic("http://safe", connections=1) as kept,
        ):
            for step, signing, roots in (("add", old, [old, new]), ("switch", new, [old, new]), ("remove", new, [new])):
                operator.plug_in(treasury, signing, roots)
                witness.timeline.note(f"{step}: control plane up")
                witness.await_roots(roots)
                witness.await_renewal(signing)
                witness.timeline.note(f"{step}: everybody has renewed; lost so far {fresh.failures} {kept.failures}")
        treasury.facts(
            requests=fresh.answered + kept.answered,
            lost=[fresh.failures, kept.failures],
            serials=len(witness.serials),
            keys=len(witness.keys),
            clientCertificates=len(witness.hashes),
            timeline=witness.timeline.events,
        )
        told = "; ".join(witness.timeline.events)
        assert fresh.answered, "no request on a new connection was answered"
        assert kept.answered, "no request on a kept connection was answered"
        assert not fresh.failures, f"new connections failed while the root was replaced: {fresh.failures} ({told})"
        assert not kept.failures, f"kept connections failed while the root was replaced: {kept.failures} ({told})"
        assert len(witness.serials) >= 3, f"the leaf changed {len(witness.serials) - 1} times, 2 at least are wanted"
        assert len(witness.keys) == len(witness.serials), "a renewed certificate kept its predecessor's key"
        _assert_worthless(treasury, prober, old, new)
    finally:
        _put_back(treasury, old, new)


class Witness:
    """Sees the server's certificates on the wire and the client's by what the server says of it."""

    def __init__(self, namespace: MeshNamespace, prober: Client, clerk: Client) -> None:
        self._namespace = namespace
        self._prober = prober
        self._clerk = clerk
        self.timeline = operator.Timeline()
        self.serials: set[int] = set()
        self.keys: set[bytes] = set()
        self.hashes: set[str] = set()

    def look(self, server: str = "till") -> tuple[x509.Certificate, str]:
        """Give the server's leaf and the hash of the client's."""
        leaf = presented_chain(self._prober, self._namespace, server)[0]
        self.serials.add(leaf.serial_number)
        self.keys.add(_key_of(leaf))
        seen = self._clerk.get(f"http://{server}").peer.hash
        self.hashes.add(seen)
        return leaf, seen

    def await_roots(self, roots: list[Authority]) -> None:
        """Wait until exactly these roots are published."""
        wanted = {root.certificate for root in roots}
        self._until(lambda: set(published_roots(self._namespace)) == wanted, f"{len(wanted)} published roots")

    def await_renewal(self, signing: Authority) -> None:
        """Wait until servers and client have certificates that were issued from here on, by this authority."""
        leaf, seen = self.look()

        def renewed() -> bool:
            current, sent = self.look()
            anchors = [signing.certificate]
            under = all(
                not violations(check_chain(presented_chain(self._prober, self._namespace, one), anchors, at=_now()))
                for one in ("till", "safe")
            )
            return under and current.serial_number != leaf.serial_number and sent not in {"", seen}

        self._until(renewed, "renewed certificates everywhere")

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        self._namespace.eventually(condition, what, seconds=RENEWAL_SECONDS)


def _assert_worthless(namespace: MeshNamespace, prober: Client, old: Authority, new: Authority) -> None:
    """Assert that a certificate of the removed root is refused, where its twin of the new one is admitted (M55)."""
    address, uri = namespace.pod("till")["status"]["podIP"], identity_of(namespace, "clerk")
    met = []
    for authority in (new, old):
        svid = mint(authority, [uri], now=_now())
        met.append(
            prober.probe(address, HTTP_PORT, certificate_chain=svid.chain, private_key=svid.key, timeout=PROBE_SECONDS)
        )
    twin, stale = met
    assert twin.admitted, f"an SVID of the new root is refused: {twin.failure}"
    assert not stale.admitted, "an SVID of the removed root is still admitted"


def _put_back(namespace: MeshNamespace, old: Authority, new: Authority) -> None:
    """Lead the mesh back to the root that it had, by the same three steps, for the checks that follow."""
    for signing in (new, old):
        operator.plug_in(namespace, signing, [old, new])
    operator.unplug(namespace)
    namespace.eventually(
        lambda: published_roots(namespace) == [old.certificate],
        "the mesh's own root published again",
        seconds=RENEWAL_SECONDS,
    )


def _key_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _now() -> datetime:
    return datetime.now(UTC)
