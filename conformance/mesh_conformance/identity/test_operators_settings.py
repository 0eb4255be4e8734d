"""What an operator sets about identity is kept to: a short-lived signer, aliases of the trust domain, trusted nodes, and
a control plane that is away.

Each check restarts the control plane: they run where MESH_EXTENDED is set, and alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from mesh_conformance.identity import operator
from mesh_conformance.identity.minted import signing_authority
from mesh_conformance.identity.signing_office import new_key, opened, request
from mesh_conformance.identity.wire import PROBE_SECONDS, identity_of, presented_leaf
from mesh_conformance.stage import own_namespace
from pytest_mesh.failures import Inconclusive
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.identity.csr_client import Answer, connected
from pytest_mesh.identity.minting import mint
from pytest_mesh.identity.x509_svid import uri_sans
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.responses import Handshake
from pytest_mesh.traffic.soak import Lane

SIGNER_LIFE = timedelta(seconds=60)
ENOUGH = timedelta(seconds=15)
"""What must be left of it when the control plane is up."""
SLACK = timedelta(seconds=1)
ALIAS = "formerly.example"
POLICY = "test_bad_svid.yaml"
ELSEWHERE = "a-node-far-away"
TTL_SECONDS = 60
NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "CANCELLED")
"""Codes that a service which is there does not refuse with."""
AWAY_UNTIL_SECONDS = 45
"""Since a certificate's issue: renewal is due after 30 s, and has failed for 15 s by then."""
RENEWAL_SECONDS = 60.0


@pytest.fixture
def outpost(request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings) -> Iterator[MeshNamespace]:
    """Give a namespace of this check's own, where the control plane may be restarted."""
    if not os.environ.get("MESH_EXTENDED"):
        pytest.skip(f"{NOT_APPLICABLE}the extended run has it: MESH_EXTENDED=1")
    if mesh.cluster.backend == "existing":
        pytest.skip(f"{NOT_APPLICABLE}it restarts the mesh's control plane: not on somebody's cluster")
    mesh.needs("root_secret", "ready")
    with own_namespace(request, mesh, mesh_settings, purpose="outpost") as namespace:
        yield namespace


@pytest.mark.mesh_exclusive
@pytest.mark.timeout(300)
@pytest.mark.mesh_feature("CsrSignerLifetime")
def test_a_leaf_ends_with_its_signer_and_an_expired_signer_signs_nothing(
    mesh: RunningMesh, outpost: MeshNamespace
) -> None:
    own = signing_authority(mesh, outpost)
    outpost.client("asker")
    signer = own.below("a short-lived signer", now=datetime.now(UTC), lifetime=SIGNER_LIFE)
    ends = signer.certificate.not_valid_after_utc
    try:
        operator.plug_in(outpost, signer, [own])
        if datetime.now(UTC) > ends - ENOUGH:
            raise Inconclusive(f"the control plane took so long to restart that its signer ends at {ends} already")
        with opened(outpost, "asker") as office:
            token = office.token("asker")
            # Its own certificate may end with the signer's as well: the connection is from before that.
            with connected(office.address, root_pem=own.pem(), server_name=office.server_name) as ask:
                leaf = _leaf(ask(request(new_key()), token=token, ttl_seconds=86_400), "a signer that is in its time")
                assert leaf.issuer == signer.certificate.subject, "the plugged-in signer is not the one that signs"
                assert leaf.not_valid_after_utc <= ends + SLACK, (
                    f"a leaf lives until {leaf.not_valid_after_utc}, its signer until {ends}"
                )
                time.sleep(max((ends + SLACK - datetime.now(UTC)).total_seconds(), 0))
                late = ask(request(new_key()), token=token, ttl_seconds=600)
        outpost.facts(afterTheEnd=f"{late.code}: {late.message}")
        assert not late.issued, f"a signer that expired at {ends} signed at {datetime.now(UTC)}"
        assert late.code not in NO_ANSWER, f"a request after the signer's end met nobody: {late.code}: {late.message}"
    finally:
        operator.unplug(outpost)


@pytest.mark.mesh_exclusive
@pytest.mark.timeout(300)
@pytest.mark.mesh_feature("PeerTrustDomainAlias")
def test_a_peer_of_an_alias_of_the_trust_domain_is_admitted(mesh: RunningMesh, outpost: MeshNamespace) -> None:
    own, where = signing_authority(mesh, outpost), mesh.implementation.root_secret[0]
    if outpost.find("v1", "ConfigMap", operator.MESH_CONFIG, namespace=where) is None:
        pytest.skip(f"{NOT_APPLICABLE}there is no ConfigMap {where}/{operator.MESH_CONFIG} with a mesh config")
    outpost.stand_in("vault", wait=False)
    prober = outpost.client("prober", inject=False)
    outpost.apply(POLICY)

    def met(trust_domain: str) -> Handshake:
        uri = f"spiffe://{trust_domain}/ns/{outpost.name}/sa/asker"
        svid = mint(own, [uri], now=datetime.now(UTC))
        address = outpost.pod("vault")["status"]["podIP"]
        return prober.probe(
            address, HTTP_PORT, certificate_chain=svid.chain, private_key=svid.key, timeout=PROBE_SECONDS
        )

    trust_domain = outpost.implementation.trust_domain
    assert met(trust_domain).admitted, "a peer of the mesh's own trust domain is refused"
    assert not met(ALIAS).admitted, f"a peer of {ALIAS} is admitted before that is an alias"
    with operator.with_mesh_config(outpost, {"trustDomainAliases": [ALIAS]}):
        outpost.eventually(lambda: met(ALIAS).admitted, f"a peer of the alias {ALIAS} admitted")
        assert not met(f"{ALIAS}.example").admitted, f"a peer of {ALIAS}.example is taken for one of the alias {ALIAS}"
        assert met(trust_domain).admitted, "a peer of the mesh's own trust domain is refused beside an alias"


@pytest.mark.mesh_exclusive
@pytest.mark.timeout(300)
@pytest.mark.mesh_feature("CsrTrustedNodes")
def test_a_trusted_node_gets_certificates_of_the_pods_on_it_only(outpost: MeshNamespace) -> None:
    outpost.client("node-proxy")
    outpost.client("stranger")
    caller = outpost.pod("node-proxy")
    for name, node in (("neighbour", caller["spec"]["nodeName"]), ("distant", ELSEWHERE)):
        outpost.apply(_pod_on(outpost, name, node), wait=False)
    csr = request(new_key())
    account = f"{outpost.name}/node-proxy"
    with (
        operator.with_environment(outpost, {"CA_TRUSTED_NODE_ACCOUNTS": account}),
        opened(outpost, "stranger") as office,
    ):
        tokens = {name: office.token(name, pod=outpost.pod(name)) for name in ("node-proxy", "stranger")}

        def ask(caller: str, wanted: str) -> Answer:
            return office.ask(csr, token=tokens[caller], wishes={"ImpersonatedIdentity": identity_of(outpost, wanted)})

        names = uri_sans(_leaf(ask("node-proxy", "neighbour"), "an identity of a pod on the caller's node"))
        assert names == [identity_of(outpost, "neighbour")], f"asked for neighbour's certificate, got {names}"
        answers = {
            "a pod on another node": ask("node-proxy", "distant"),
            "an account without a pod": ask("node-proxy", "nobody"),
            "a caller who is no trusted node": ask("stranger", "node-proxy"),
        }
    outpost.facts(answers={what: one.code for what, one in answers.items()})
    for what, answer in answers.items():
        assert not answer.issued, f"{what}: a certificate was issued"
        assert answer.code == "UNAUTHENTICATED", f"{what}: refused with {answer.code}, expected UNAUTHENTICATED"


@pytest.mark.mesh_exclusive
@pytest.mark.timeout(300)
@pytest.mark.mesh_feature("RotationOutage")
def test_a_certificate_is_served_to_its_end_while_nobody_renews_it(mesh: RunningMesh, outpost: MeshNamespace) -> None:
    mesh.needs("svid_ttl_key", "proxy_metadata_annotation")
    outpost.stand_in("till", svid_ttl=f"{TTL_SECONDS}s", wait=False)
    prober = outpost.client("prober", inject=False)
    clerk = outpost.client("clerk")  # its own certificate is none of this check's
    outpost.apply("test_rotation.yaml")
    outpost.eventually(lambda: clerk.get("http://till").ok, "http://till answers")
    first = presented_leaf(prober, outpost, "till")
    fresh = outpost.eventually(
        lambda: _other_than(first, presented_leaf(prober, outpost, "till")), "a renewed leaf", seconds=RENEWAL_SECONDS
    )
    assert fresh is not None  # what eventually() gives is true
    _judge_outage(outpost, prober, clerk, fresh)


def _judge_outage(outpost: MeshNamespace, prober: Client, clerk: Client, fresh: x509.Certificate) -> None:
    issued = time.monotonic()
    lane = Lane(name="new connections", url="http://till", per_second=10.0, timeout=20.0)
    with operator.away(outpost):
        with clerk.soak(lane) as soak:
            time.sleep(max(AWAY_UNTIL_SECONDS - (time.monotonic() - issued), 0))
            held = presented_leaf(prober, outpost, "till")
        told = soak.seen[lane.name]
        outpost.facts(answered=told.answered, lost=dict(told.failures))
        assert held.serial_number == fresh.serial_number, "another certificate is on the wire than before the outage"
        assert told.answered, f"no request was answered: {dict(told.failures)}"
        assert not told.lost, (
            f"{told.lost} requests were lost while the certificate was good and its authority away, {told.answered} "
            f"answered: {told.first_failures[:3]}"
        )
    outpost.eventually(
        lambda: _other_than(fresh, presented_leaf(prober, outpost, "till")),
        "a renewed leaf after the outage",
        seconds=RENEWAL_SECONDS,
    )


def _other_than(before: x509.Certificate, found: x509.Certificate) -> x509.Certificate | None:
    return found if found.serial_number != before.serial_number else None


def _leaf(answer: Answer, what: str) -> x509.Certificate:
    assert answer.issued, f"{what}: no certificate was issued: {answer.code}: {answer.message}"
    return x509.load_pem_x509_certificate(answer.chain[0].encode())


def _pod_on(namespace: MeshNamespace, account: str, node: str) -> list[dict[str, Any]]:
    """Give a pod that need not run: who lives where is what the API server says."""
    labels = dict(namespace.implementation.pod_opt_out_labels)
    container = {"name": "idle", "image": "nobody.invalid/idle:1"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": account, "labels": labels},
            "spec": {"serviceAccountName": account, "nodeName": node, "containers": [container]},
        },
    ]
