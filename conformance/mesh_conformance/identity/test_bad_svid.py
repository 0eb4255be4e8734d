"""A peer whose SVID is wrong in one way is refused on the wire, and its twin that is right is admitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.wire import PROBE_SECONDS, identity_of
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.conduct import check_validator
from pytest_mesh.identity.minting import Authority, Svid, mint, pem, self_signed
from pytest_mesh.identity.presentations import Presentation, World, presentations
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.responses import Handshake

POLICY = "test_bad_svid.yaml"
NOT_JUDGED = frozenset({"SVID-URI-MULTI-REJECT", "LEAF-CA-FALSE", "LEAF-NO-KCS", "LEAF-NO-CRLSIGN"})
"""Rules for validators that TLS libraries leave to others: what a mesh does is told in the report."""
UNREADABLE = "X509V3: INVALID_CERTIFICATE"
"""What the prober's own TLS library says of a certificate that it will not load, so that nobody is shown it."""
MOST_UNSHOWN = 2
HOUR = timedelta(hours=1)

Forge = Callable[[Authority, str, datetime], Svid]
"""Gives a wrong SVID of an authority, made after the identity that would be right, at this time."""

FOREIGN: dict[str, Forge] = {
    "other-root": lambda own, uri, now: mint(Authority.imitation(own.certificate, now=now), [uri], now=now),
    "none": lambda _own, _uri, _now: Svid(chain="", key=""),
    "self-signed": lambda _own, uri, now: self_signed([uri], now=now),
    "other-trust-domain": lambda own, uri, now: mint(own, [_moved(uri, "elsewhere.example")], now=now),
    "longer-trust-domain": lambda own, uri, now: mint(own, [_moved(uri, _trust_domain(uri) + ".example")], now=now),
}
STALE: dict[str, Forge] = {
    "expired": lambda own, uri, now: mint(own, [uri], now=now, begins=-2 * HOUR, ends=-HOUR),
    "not-yet-valid": lambda own, uri, now: mint(own, [uri], now=now, begins=HOUR, ends=2 * HOUR),
}
NAMELESS: dict[str, Forge] = {
    "no-uri": lambda own, uri, now: mint(own, [], now=now, dns_names=[_trust_domain(uri)]),
    "no-san": lambda own, _uri, now: mint(own, [], now=now),
    "https": lambda own, uri, now: mint(own, [uri.replace("spiffe://", "https://")], now=now),
}


@pytest.fixture
def strict(bank: MeshNamespace) -> Iterator[MeshNamespace]:
    """Give the namespace with a vault that wants mutual TLS; the policy goes afterwards."""
    bank.apply(POLICY)
    yield bank
    bank.delete(POLICY)


@pytest.mark.mesh_feature("StrictRefusesForeignSvid")
def test_an_svid_of_another_authority_is_refused(mesh: RunningMesh, strict: MeshNamespace, prober: Client) -> None:
    _assert_refused(mesh, strict, prober, FOREIGN)


@pytest.mark.mesh_feature("StrictRefusesForeignSvid")
def test_every_presented_chain_is_judged_by_rule(mesh: RunningMesh, strict: MeshNamespace, prober: Client) -> None:
    own, uri = signing_authority(mesh, strict), identity_of(strict, "tester")
    world = World.around(own.certificate, own.key, _trust_domain(uri), now=datetime.now(UTC))
    met: dict[str, str] = {}
    unshown: list[str] = []

    def admits(one: Presentation) -> bool:
        answer = _meet(strict, prober, Svid(chain=one.pem() + "".join(map(pem, own.above)), key=one.key_pem()))
        met[f"{one.rule}: {one.what}"] = "admitted" if answer.admitted else answer.failure
        if UNREADABLE in answer.failure:
            unshown.append(one.what)
            return one.admit
        assert answer.chain, f"no certificate on the wire when {one.what} is presented: {answer.failure}"
        return answer.admitted

    broken = check_validator(presentations(world), admits)
    strict.facts(presented=met, notShown=unshown, rulesNotKept=[str(one) for one in broken])
    assert len(unshown) <= MOST_UNSHOWN, f"{len(unshown)} chains could not be presented: {'; '.join(unshown)}"
    judged = [one for one in broken if one.rule not in NOT_JUDGED]
    assert not judged, f"STRICT judges {len(judged)} chains wrongly: {'; '.join(map(str, judged))}"


@pytest.mark.mesh_feature("StrictRefusesStaleSvid")
def test_an_svid_out_of_its_time_is_refused(mesh: RunningMesh, strict: MeshNamespace, prober: Client) -> None:
    _assert_refused(mesh, strict, prober, STALE)


@pytest.mark.mesh_feature("StrictRefusesNamelessSvid")
def test_a_certificate_without_a_spiffe_id_is_refused(mesh: RunningMesh, strict: MeshNamespace, prober: Client) -> None:
    _assert_refused(mesh, strict, prober, NAMELESS)

    # X509-SVID wants two names refused (SVID-URI-MULTI-REJECT). Envoy's SAN match is content when any name fits, so
    # no mesh on Envoy can refuse them by its means: told in the report, not judged.
    names = [identity_of(strict, "tester"), identity_of(strict, "governor")]
    two = _meet(strict, prober, mint(signing_authority(mesh, strict), names, now=datetime.now(UTC)))
    strict.facts(twoUriSans="admitted" if two.admitted else two.failure)


def _assert_refused(mesh: RunningMesh, bank: MeshNamespace, prober: Client, wrong: Mapping[str, Forge]) -> None:
    own, uri = signing_authority(mesh, bank), identity_of(bank, "tester")
    failures = {}
    for kind, forge in wrong.items():
        now = datetime.now(UTC)
        twin = _meet(bank, prober, mint(own, [uri], now=now))
        assert twin.admitted, f"a right SVID, minted by the mesh's own key, is refused: {twin.failure}"
        met = _meet(bank, prober, forge(own, uri, now))
        failures[kind] = "admitted" if met.admitted else met.failure
        # Whoever is merely not there refuses nothing: the server must have shown itself and closed.
        assert met.chain, f"no certificate on the wire when the SVID is wrong ({kind}): {met.failure}"
    bank.facts(refusals=failures)
    admitted = [kind for kind, failure in failures.items() if failure == "admitted"]
    assert not admitted, f"STRICT admits a peer whose SVID is wrong: {', '.join(admitted)} (of {', '.join(wrong)})"


def _meet(bank: MeshNamespace, prober: Client, svid: Svid) -> Handshake:
    """Shake hands with the vault's application port; TLS 1.3 tells of a refusal only at the first read."""
    address = bank.pod("vault")["status"]["podIP"]
    return prober.probe(address, HTTP_PORT, certificate_chain=svid.chain, private_key=svid.key, timeout=PROBE_SECONDS)


def _trust_domain(uri: str) -> str:
    return uri.removeprefix("spiffe://").partition("/")[0]


def _moved(uri: str, trust_domain: str) -> str:
    return uri.replace(f"//{_trust_domain(uri)}/", f"//{trust_domain}/")
