"""The X.509-SVID that a meshed pod presents on the wire: its name, its profile, its chain and its lifetime."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from mesh_conformance.identity.operator import MERGE
from mesh_conformance.identity.signing_office import new_key, opened, request
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
from pytest_mesh.identity.svid import check_svid
from pytest_mesh.identity.x509_svid import check_leaf, check_serials
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client

MAX_LIFETIME = timedelta(hours=24)
SERIALS = 20
SERIAL_BITS = 48
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


@pytest.mark.mesh_feature("SvidLeafProfile")
def test_no_two_leaves_have_one_serial(bank: MeshNamespace) -> None:
    with opened(bank, "tester") as office:
        token = office.token("tester")
        answers = [office.ask(request(new_key()), token=token) for _ in range(SERIALS)]
    refused = [f"{one.code}: {one.message}" for one in answers if not one.issued]
    assert not refused, f"{len(refused)} of {SERIALS} requests got no certificate: {refused[0]}"
    leaves = [x509.load_pem_x509_certificate(one.chain[0].encode()) for one in answers]

    broken = violations(check_serials(leaves))
    assert not broken, f"{SERIALS} leaves: {'; '.join(map(str, broken))}"
    shortest = min(leaf.serial_number.bit_length() for leaf in leaves)
    # Each of 64 random bits more would be 0 with a chance of one half: 48 left of twenty times 64 is no chance at all.
    assert shortest >= SERIAL_BITS, f"a serial has {shortest} bits: it can be guessed"


@pytest.mark.mesh_feature("SvidChain")
def test_the_chain_leads_to_the_published_root(bank: MeshNamespace, prober: Client) -> None:
    chain, trust_domain = presented_chain(prober, bank, "vault"), bank.implementation.trust_domain

    judged = check_svid(chain, published_roots(bank), trust_domain, at=datetime.now(UTC))

    broken = violations(judged.findings)
    bank.facts(rulesNotKept=sorted({str(one.rule) for one in judged.findings}))
    assert not broken, f"the chain does not hold by the published root: {'; '.join(map(str, broken))}"


@pytest.mark.mesh_feature("SvidChain")
def test_the_published_root_is_the_one_in_the_secret(mesh: RunningMesh, bank: MeshNamespace, prober: Client) -> None:
    mesh.needs("root_secret")
    chain = presented_chain(prober, bank, "vault")
    published, stored = published_roots(bank), stored_roots(bank)

    assert "PRIVATE KEY" not in bank.trust_bundle(), "a private key is published beside the root"
    assert set(stored) <= set(published), (
        f"the root in the Secret ({fingerprints(stored)}) is not among the published ones ({fingerprints(published)})"
    )
    broken = violations(check_chain(chain, stored, at=datetime.now(UTC)))
    assert not broken, f"the chain does not lead to the root in the Secret: {'; '.join(map(str, broken))}"


@pytest.mark.mesh_feature("SvidChain")
def test_the_published_root_comes_back_when_it_is_deleted_or_edited(bank: MeshNamespace) -> None:
    right = bank.trust_bundle()
    name, key = bank.implementation.root_config_map
    path = bank.kube.resource("v1", "ConfigMap").path(bank.name, name)
    damages: dict[str, Callable[[], object]] = {
        "deleted": lambda: bank.kube.delete(path),
        "edited": lambda: bank.kube.json("PATCH", path, body={"data": {key: "no root"}}, content_type=MERGE),
    }
    for damage, do in damages.items():
        do()
        bank.eventually(lambda: _bundle(bank) == right, f"ConfigMap {name} as it was before it was {damage}")


def _bundle(bank: MeshNamespace) -> str:
    name, key = bank.implementation.root_config_map
    found = bank.find("v1", "ConfigMap", name) or {}
    return str((found.get("data") or {}).get(key, ""))


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
