"""Leaves rotate, and a root gives way to another in three steps, under traffic: nobody is cut off, no connection breaks,
and in the end the old root opens nothing.

It restarts the control plane six times: it runs where MESH_EXTENDED is set, and alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mesh_conformance.identity import operator
from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.signing_office import can_ask, new_key, opened, request
from mesh_conformance.identity.wire import PROBE_SECONDS, chain_at, identity_of, presented_chain, published_roots
from mesh_conformance.stage import own_namespace
from pytest_mesh.failures import Inconclusive
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.minting import Authority, mint
from pytest_mesh.identity.paths import check_chain
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.soak import Lane, LaneResult

TTL_SECONDS = 30
NEW_PER_SECOND = 100.0
KEPT_PER_SECOND = 10.0
REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNAVAILABLE")
"""What a caller meets who is not known; UNAVAILABLE is a handshake that the service ended."""
ROTATIONS = 3
"""Changes of each workload's leaf that are wanted at least."""
RENEWAL_SECONDS = 60.0
"""Budget of one renewal everywhere: half a life, and a control plane that is just starting."""
ANSWER_SECONDS = 20.0
"""Longest wait for an answer: a busy machine is slow, and that is no loss."""
LANES = (
    Lane(name="new connections", url="http://till", per_second=NEW_PER_SECOND, timeout=ANSWER_SECONDS),
    Lane(name="HTTP/1.1 kept", kind="kept", url="http://safe", per_second=KEPT_PER_SECOND, timeout=ANSWER_SECONDS),
    Lane(name="HTTP/2 kept", kind="http2", url="http://ledger", per_second=KEPT_PER_SECOND, timeout=ANSWER_SECONDS),
    Lane(name="TCP kept", kind="kept", url="http://wire:9000", per_second=KEPT_PER_SECOND, timeout=ANSWER_SECONDS),
)


@pytest.fixture
def treasury(request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings) -> Iterator[MeshNamespace]:
    """Give a namespace of this check's own, whose workloads are gone when the root is put back."""
    if not os.environ.get("MESH_EXTENDED"):
        pytest.skip(f"{NOT_APPLICABLE}the extended run has it: MESH_EXTENDED=1")
    if mesh.cluster.backend == "existing":
        pytest.skip(
            f"{NOT_APPLICABLE}it replaces the mesh's root and restarts its control plane: not on somebody's cluster"
        )
    mesh.needs("root_secret", "svid_ttl_key", "proxy_metadata_annotation", "ready")
    with own_namespace(request, mesh, mesh_settings, purpose="treasury") as namespace:
        yield namespace


@pytest.mark.mesh_exclusive
@pytest.mark.timeout(300)
@pytest.mark.mesh_feature("RotationOfRoot")
def test_leaves_and_the_root_are_replaced_under_traffic_and_nothing_is_lost(
    mesh: RunningMesh, treasury: MeshNamespace
) -> None:
    old, new = signing_authority(mesh, treasury), Authority.self_signed("the next root", now=datetime.now(UTC))
    for name in ("till", "safe", "ledger"):
        treasury.stand_in(name, svid_ttl=f"{TTL_SECONDS}s", wait=False)
    treasury.stand_in("wire", ports={80: HTTP_PORT, 9000: 9000}, svid_ttl=f"{TTL_SECONDS}s", wait=False)
    prober = treasury.client("prober", inject=False)
    clerk = treasury.client("clerk", svid_ttl=f"{TTL_SECONDS}s")
    treasury.apply("test_root_rotation.yaml")
    for lane in LANES:
        treasury.eventually(partial(_answers, clerk, lane.url), f"{lane.url} answers")
    witness = Witness(treasury, prober)
    neighbours = witness.neighbours()

    try:
        with clerk.soak(*LANES) as soak:
            witness.await_renewal(old)
            witness.timeline.note("the leaves were renewed under the first root")
            for step, signing, roots in (("add", old, [old, new]), ("switch", new, [old, new]), ("remove", new, [new])):
                operator.plug_in(treasury, signing, roots)
                witness.timeline.note(f"{step}: control plane up")
                _await_roots(treasury, roots)
                witness.await_renewal(signing)
                lost = sum(lane.lost for lane in soak.look().values())
                witness.timeline.note(f"{step}: everybody has renewed; lost so far {lost}")
        _record(treasury, soak.seen, witness)
        _judge(soak.seen, witness)
        _assert_worthless(treasury, prober, old, new)
    finally:
        _put_back(treasury, old, new)
        witness.await_neighbours(neighbours, [old])


class Witness:
    """Sees the servers' certificates on the wire, again and again."""

    def __init__(self, namespace: MeshNamespace, prober: Client) -> None:
        self._namespace = namespace
        self._prober = prober
        self.timeline = operator.Timeline()
        self.serials: set[int] = set()
        self.keys: set[bytes] = set()

    def look(self, server: str = "till") -> x509.Certificate:
        """Give the server's leaf."""
        leaf = presented_chain(self._prober, self._namespace, server)[0]
        if server == "till" and leaf.serial_number not in self.serials:
            self.serials.add(leaf.serial_number)
            self.keys.add(_key_of(leaf))
            self.timeline.note(f"serial {leaf.serial_number:x} of {leaf.issuer.rfc4514_string()}")
        return leaf

    def await_renewal(self, signing: Authority) -> None:
        """Wait until every workload has a certificate that was issued from here on, by this authority."""
        names = ("till", "safe", "ledger", "wire", "clerk")
        before = {name: self.look(name).serial_number for name in names}

        def renewed() -> bool:
            for name in names:
                chain = presented_chain(self._prober, self._namespace, name)
                if name == "till":
                    self.look(name)
                if chain[0].serial_number == before[name] or not _leads_to(chain, [signing]):
                    return False
            return True

        self._until(renewed, "renewed certificates everywhere")

    def neighbours(self) -> list[str]:
        """Give the addresses of other namespaces' workloads that speak TLS: they live through this, too."""
        pods = self._namespace.kube.list(self._namespace.kube.resource("v1", "Pod").path(""))
        addresses = [
            pod["status"]["podIP"]
            for pod in pods
            if pod["metadata"]["namespace"] != self._namespace.name
            and pod["metadata"]["namespace"].startswith("mesh-")
            and pod["status"].get("podIP")
        ]
        return [address for address in addresses if chain_at(self._prober, address)]

    def await_neighbours(self, addresses: list[str], roots: list[Authority]) -> None:
        """Wait until the certificates of those workloads lead to ``roots``: the checks that follow meet them."""
        for address in addresses:
            self._until(partial(self._is_under, address, roots), f"{address} under the old root")

    def _is_under(self, address: str, roots: list[Authority]) -> bool:
        return _leads_to(chain_at(self._prober, address), roots)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        self._namespace.eventually(condition, what, seconds=RENEWAL_SECONDS)


def _answers(client: Client, url: str) -> bool:
    return client.get(url).ok


def _record(namespace: MeshNamespace, lanes: Mapping[str, LaneResult], witness: Witness) -> None:
    """Put figures and timeline into the evidence: what a picture of it needs."""
    namespace.facts(
        ttlSeconds=TTL_SECONDS,
        requests=sum(lane.answered for lane in lanes.values()),
        lost={name: dict(lane.failures) for name, lane in lanes.items()},
        resets={name: lane.resets for name, lane in lanes.items() if lane.kind != "new"},
        serials=len(witness.serials),
        keys=len(witness.keys),
        clientCertificates=len(lanes["new connections"].peers),
        timeline=witness.timeline.events,
        lanes={
            name: {
                "answered": lane.answered,
                "connections": lane.connections,
                "slowestSeconds": lane.slowest,
                "notSent": lane.skipped,
                "clientCertificatesAt": [at for _, at in lane.peers],
                "firstFailures": [list(item) for item in lane.first_failures],
                "perSecond": [list(item) for item in lane.seconds],
            }
            for name, lane in lanes.items()
        },
    )


def _judge(lanes: Mapping[str, LaneResult], witness: Witness) -> None:
    told = "; ".join(witness.timeline.events)
    new = lanes["new connections"]
    if new.skipped > new.answered:
        raise Inconclusive(
            f"the machine does not keep up: of {new.answered + new.lost + new.skipped} requests that were due, "
            f"{new.skipped} could not be sent, for the ones before were still under way"
        )
    for name, lane in lanes.items():
        assert lane.answered, f"{name}: no request was answered: {dict(lane.failures)}"
        assert not lane.lost, (
            f"{name}: {lane.lost} requests were lost while leaves and root were replaced, {lane.answered} answered: "
            f"{lane.first_failures[:3]} ({told})"
        )
        assert not lane.resets, f"{name}: the connection was taken away {lane.resets} times ({told})"
    changes = {"server": len(witness.serials) - 1, "client": len(lanes["new connections"].peers) - 1}
    for side, count in changes.items():
        assert count >= ROTATIONS, f"the {side}'s leaf changed {count} times, {ROTATIONS} at least are wanted ({told})"
    assert len(witness.keys) == len(witness.serials), "a renewed certificate kept its predecessor's key"


def _assert_worthless(namespace: MeshNamespace, prober: Client, old: Authority, new: Authority) -> None:
    """Assert that a certificate of the removed root is refused, where its twin of the new one is admitted (M55)."""
    address, uri = namespace.pod("till")["status"]["podIP"], identity_of(namespace, "clerk")
    svids = [mint(authority, [uri], now=datetime.now(UTC)) for authority in (new, old)]
    twin, stale = (
        prober.probe(address, HTTP_PORT, certificate_chain=svid.chain, private_key=svid.key, timeout=PROBE_SECONDS)
        for svid in svids
    )
    assert twin.admitted, f"an SVID of the new root is refused: {twin.failure}"
    assert not stale.admitted, "an SVID of the removed root is still admitted"
    port = namespace.implementation.client_certificate_port
    if not (port and can_ask()):
        namespace.facts(renewalByCertificate="not asked: no client_certificate_port, or no grpcio")
        return
    csr = request(new_key())
    with opened(namespace, "clerk", port=port) as office:
        renewed, refused = (office.ask(csr, svid=svid) for svid in svids)
    namespace.facts(renewalByCertificate={"newRoot": renewed.code, "removedRoot": refused.code})
    assert renewed.issued, f"an SVID of the new root renews nothing: {renewed.code}: {renewed.message}"
    assert not refused.issued, "an SVID of the removed root still gets a certificate of the new one (M19)"
    assert refused.code in REFUSED, f"an SVID of the removed root met nobody: {refused.code}: {refused.message}"


def _put_back(namespace: MeshNamespace, old: Authority, new: Authority) -> None:
    """Lead the mesh back to the root that it had, by the same three steps, for the checks that follow."""
    for signing in (new, old):
        operator.plug_in(namespace, signing, [old, new])
        _await_roots(namespace, [old, new])
    operator.unplug(namespace)
    _await_roots(namespace, [old])


def _await_roots(namespace: MeshNamespace, roots: list[Authority]) -> None:
    """Wait until exactly these roots are published, and see to it that pods get them."""
    wanted = {root.certificate for root in roots}
    namespace.eventually(
        lambda: set(published_roots(namespace)) == wanted, f"{len(wanted)} published roots", seconds=RENEWAL_SECONDS
    )
    operator.hasten_kubelets(namespace)


def _leads_to(chain: list[x509.Certificate], roots: list[Authority]) -> bool:
    anchors = [root.certificate for root in roots]
    return bool(chain) and not violations(check_chain(chain, anchors, at=datetime.now(UTC)))


def _key_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
