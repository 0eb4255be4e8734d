"""The X.509-SVID that a meshed pod presents on the wire: its name, its profile, its chain and its lifetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mesh_conformance.identity.wire import (
    assert_named,
    fingerprints,
    presented_chain,
    presented_leaf,
    published_roots,
    stored_roots,
)
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.paths import check_chain
from pytest_mesh.identity.x509_svid import check_leaf, check_signing
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

MAX_LIFETIME = timedelta(hours=24)
BACKDATING = timedelta(minutes=10)
"""How far notBefore may lie before the moment of issue, for clocks that differ."""


@pytest.mark.mesh_feature("SvidUriSan")
@pytest.mark.parametrize("account", ["vault", "tester"])
def test_the_svid_names_the_workload_and_nothing_else(bank: MeshNamespace, prober: Client, account: str) -> None:
    assert_named(prober, bank, account)


@pytest.mark.mesh_feature("SvidLeafProfile")
def test_the_leaf_keeps_the_profile(bank: MeshNamespace, prober: Client) -> None:
    findings = check_leaf(presented_leaf(prober, bank, "vault"))

    broken = violations(findings)
    assert not broken, f"the leaf breaks {len(broken)} rules: {'; '.join(map(str, broken))}"


@pytest.mark.mesh_feature("SvidChain")
def test_the_chain_leads_to_the_published_root(bank: MeshNamespace, prober: Client) -> None:
    chain = presented_chain(prober, bank, "vault")
    roots = published_roots(bank)

    broken = violations([*check_chain(chain, roots, at=datetime.now(UTC)), *check_signing(roots[0])])

    assert not broken, f"the chain does not lead to the published root: {'; '.join(map(str, broken))}"


@pytest.mark.mesh_feature("SvidChain")
def test_the_published_root_is_the_one_in_the_secret(mesh: RunningMesh, bank: MeshNamespace, prober: Client) -> None:
    mesh.needs("root_secret")
    chain = presented_chain(prober, bank, "vault")
    published, stored = published_roots(bank), stored_roots(bank)

    assert set(stored) <= set(published), (
        f"the root in the Secret ({fingerprints(stored)}) is not among the published ones ({fingerprints(published)})"
    )
    broken = violations(check_chain(chain, stored, at=datetime.now(UTC)))
    assert not broken, f"the chain does not lead to the root in the Secret: {'; '.join(map(str, broken))}"


@pytest.mark.mesh_feature("SvidTtl")
def test_the_leaf_lives_24_hours_at_most(bank: MeshNamespace, prober: Client) -> None:
    leaf = presented_leaf(prober, bank, "vault")
    now = datetime.now(UTC)

    left, whole = leaf.not_valid_after_utc - now, leaf.not_valid_after_utc - leaf.not_valid_before_utc

    assert left > timedelta(0), f"the leaf on the wire expired at {leaf.not_valid_after_utc:%FT%TZ}"
    assert left <= MAX_LIFETIME, f"the leaf lives {left} from here on, expected {MAX_LIFETIME} at most"
    assert whole <= MAX_LIFETIME + BACKDATING, (
        f"the leaf is valid for {whole} ({leaf.not_valid_before_utc:%FT%TZ} to {leaf.not_valid_after_utc:%FT%TZ}), "
        f"expected {MAX_LIFETIME} and {BACKDATING} of backdating at most"
    )
