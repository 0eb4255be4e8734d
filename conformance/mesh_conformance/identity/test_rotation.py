"""A certificate with a short life is replaced before it ends, under traffic, and no request fails."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from cryptography import x509

from mesh_conformance.identity.wire import identity_of, presented_leaf
from mesh_conformance.wording import told
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.x509_svid import uri_sans
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

TTL_SECONDS = 10
POLL_SECONDS = 0.25
CLOCK_SECONDS = 1.0
"""Certificates tell whole seconds."""
EARLIEST, LATEST = 0.3, 0.8
"""Shares of a life: meshes renew at half of it to seven tenths, and certificates tell whole seconds."""
TILL = "http://till"


@pytest.mark.mesh_feature("RotationNoLoss")
def test_the_certificate_rotates_under_traffic_and_no_request_fails(
    mesh: RunningMesh, bank: MeshNamespace, prober: Client
) -> None:
    mesh.needs("svid_ttl_key", "proxy_metadata_annotation")
    bank.stand_in("till", svid_ttl=f"{TTL_SECONDS}s", wait=False)
    clerk = bank.client("clerk", svid_ttl=f"{TTL_SECONDS}s")
    bank.apply("test_rotation.yaml")
    first = presented_leaf(prober, bank, "till")
    left = (first.not_valid_after_utc - datetime.now(UTC)).total_seconds()
    assert left <= TTL_SECONDS + CLOCK_SECONDS, (
        f"the time to live asked for is {TTL_SECONDS} s, but the leaf on the wire lives {left:.0f} s yet"
    )
    caller = clerk.get(TILL).peer.hash
    assert caller, "the server saw no client certificate before the rotation"

    with clerk.traffic(TILL, connections=2, reuse=False) as traffic:
        second = _next_leaf(prober, bank, first)
        _outlive(first)
        last = presented_leaf(prober, bank, "till")

    bank.facts(requests=traffic.answered, lost=traffic.failures, ttlSeconds=TTL_SECONDS)
    assert traffic.answered, f"no request was answered while the certificate rotated: {traffic.failures}"
    assert not traffic.failures, (
        f"requests failed while the certificate rotated: {traffic.failures} beside {traffic.answered} answered"
    )
    share = (second.not_valid_after_utc - first.not_valid_after_utc).total_seconds() / TTL_SECONDS
    bank.facts(renewedAtShareOfLife=share)
    assert EARLIEST <= share <= LATEST, (
        f"the leaf was renewed at {share:.0%} of its life, {EARLIEST:.0%} to {LATEST:.0%} are wanted"
    )
    expected = identity_of(bank, "till")
    assert uri_sans(second) == [expected], f"the rotated SVID names {uri_sans(second)}, expected {expected}"
    assert last.not_valid_after_utc > datetime.now(UTC), (
        f"an expired certificate is on the wire: serial {last.serial_number:x} ended {last.not_valid_after_utc:%FT%TZ}"
    )
    after = clerk.get(TILL)
    assert after.ok, f"after the first certificate's end {TILL} gave {told(after)}"
    assert after.peer.hash != caller, f"the client still presents its first certificate, with SHA-256 {caller}"


def _next_leaf(prober: Client, bank: MeshNamespace, first: x509.Certificate) -> x509.Certificate:
    """Wait until another serial is on the wire; that must happen before the first certificate ends."""
    while datetime.now(UTC) < first.not_valid_after_utc:
        leaf = presented_leaf(prober, bank, "till")
        if leaf.serial_number != first.serial_number:
            return leaf
        time.sleep(POLL_SECONDS)
    raise AssertionError(
        f"the serial on the wire did not change: {first.serial_number:x} ended at {first.not_valid_after_utc:%FT%TZ}"
    )


def _outlive(certificate: x509.Certificate) -> None:
    """Let the traffic go on until the certificate has ended: whoever still uses it fails."""
    while datetime.now(UTC) <= certificate.not_valid_after_utc:
        time.sleep(POLL_SECONDS)
