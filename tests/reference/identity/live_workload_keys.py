"""Workloads whose keys are on P-384 or RSA, through real proxies: who asks whom, and what is on the wire, renewals included.

.venv/bin/pytest tests/reference/identity --override-ini=python_files='live_*.py' --mesh-cluster=local --mesh-implementation=reference

The variables are Istio's own, so that the same test runs with --mesh-implementation=istio.
"""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pytest_mesh.identity.x509_svid import uri_sans

TTL_SECONDS = 20
KINDS = {
    "p256": {"ECC_SIGNATURE_ALGORITHM": "ECDSA"},
    "p384": {"ECC_SIGNATURE_ALGORITHM": "ECDSA", "ECC_CURVE": "P384"},
    "rsa2048": {"WORKLOAD_RSA_KEY_SIZE": "2048"},
    "rsa3072": {"WORKLOAD_RSA_KEY_SIZE": "3072"},
}
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec: {mtls: {mode: STRICT}}
"""


def written(key):
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa{key.key_size}"
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return f"p{key.key_size}"


def shown(prober, namespace, name):
    met = prober.probe(namespace.pod(name)["status"]["podIP"], 8080)
    assert met.chain, met.failure
    return x509.load_der_x509_certificate(met.chain[0])


@pytest.mark.timeout(300)
def test_keys_of_every_kind_are_shown_renewed_and_believed(mesh, mesh_namespace):
    prober = mesh_namespace.client("prober", inject=False)
    clients = {}
    for kind, variables in KINDS.items():
        lines = {**variables, mesh.implementation.svid_ttl_key: f"{TTL_SECONDS}s"}
        text = "proxyMetadata:\n" + "".join(f'  {name}: "{value}"\n' for name, value in lines.items())
        annotations = {mesh.implementation.proxy_metadata_annotation: text}
        mesh_namespace.stand_in(f"server-{kind}", annotations=annotations, wait=False)
        clients[kind] = mesh_namespace.client(f"client-{kind}", annotations=annotations)
    mesh_namespace.apply(STRICT)
    first = {}
    for kind in KINDS:
        first[kind] = shown(prober, mesh_namespace, f"server-{kind}")
        assert written(first[kind].public_key()) == kind
        assert uri_sans(first[kind])[0].endswith(f"/sa/server-{kind}")

    def everybody_is_heard():
        for caller, client in clients.items():
            for server in KINDS:
                answer = client.get(f"http://server-{server}")
                assert answer.ok, f"{caller} asks {server}: {answer.failure or answer.status} {answer.body}"
                assert answer.peer.spiffe_id.endswith(f"/sa/client-{caller}")

    everybody_is_heard()
    for kind, before in first.items():
        after = mesh_namespace.eventually(
            lambda kind=kind, before=before: (
                (found := shown(prober, mesh_namespace, f"server-{kind}")).serial_number != before.serial_number
                and found
            ),
            f"server-{kind} renewed",
            seconds=TTL_SECONDS,
        )
        assert written(after.public_key()) == kind
        assert after.public_key() != before.public_key()
    everybody_is_heard()
