"""The certificates that a pod presents on the wire, and the roots that a mesh publishes: obtained, not judged."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from pytest_mesh.identity.x509_svid import uri_sans
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client

PROBE_SECONDS = 3.0


def presented_chain(prober: Client, namespace: MeshNamespace, workload: str) -> list[x509.Certificate]:
    """Give the chain, leaf first, that a workload presents on the port of its application to a peer of the mesh."""
    pod = namespace.pod(workload)
    address = pod["status"]["podIP"]
    met = prober.probe(address, HTTP_PORT, timeout=PROBE_SECONDS)
    assert met.chain, (
        f"no certificate on the wire: {pod['metadata']['name']} at {address}:{HTTP_PORT} answers a TLS handshake "
        f"with {met.failure or 'nothing'}"
    )
    return [x509.load_der_x509_certificate(der) for der in met.chain]


def chain_at(prober: Client, address: str) -> list[x509.Certificate]:
    """Give the chain that whoever lives at an address presents, leaf first; empty when there is none."""
    return [
        x509.load_der_x509_certificate(der) for der in prober.probe(address, HTTP_PORT, timeout=PROBE_SECONDS).chain
    ]


def presented_leaf(prober: Client, namespace: MeshNamespace, workload: str) -> x509.Certificate:
    """Give the leaf that a workload presents."""
    return presented_chain(prober, namespace, workload)[0]


def assert_named(prober: Client, namespace: MeshNamespace, workload: str) -> None:
    """Assert that a workload's SVID names its own ServiceAccount and nothing else (SVID-URI-ONE, IST-ID)."""
    names, expected = uri_sans(presented_leaf(prober, namespace, workload)), identity_of(namespace, workload)
    assert len(names) == 1, f"SVID has {len(names)} URI SANs, expected exactly one: {', '.join(names) or 'none'}"
    assert names[0] == expected, f"SVID names {names[0]}, expected {expected}{told_otherwise(namespace, names[0])}"


def identity_of(namespace: MeshNamespace, account: str) -> str:
    """Give the SPIFFE ID that a workload of this ServiceAccount must have (IST-ID)."""
    return f"spiffe://{namespace.implementation.trust_domain}/ns/{namespace.name}/sa/{account}"


def told_otherwise(namespace: MeshNamespace, name: str) -> str:
    """Say where the trust domain that was expected comes from, when a name has another one."""
    expected = namespace.implementation.trust_domain
    if not name.startswith("spiffe://") or name.startswith(f"spiffe://{expected}/"):
        return ""
    return f": trust domain {expected} is what {namespace.implementation.where('identity.trust_domain')} says"


def published_roots(namespace: MeshNamespace) -> list[x509.Certificate]:
    """Give the trust bundle that the mesh publishes in the namespace."""
    return x509.load_pem_x509_certificates(namespace.trust_bundle().encode())


def stored_roots(namespace: MeshNamespace) -> list[x509.Certificate]:
    """Give the root that the mesh keeps in its Secret; the private key beside it is not read."""
    return x509.load_pem_x509_certificates(namespace.root_certificate().encode())


def fingerprints(certificates: list[x509.Certificate]) -> str:
    """Give the first half of each SHA-256, for messages."""
    return ", ".join(one.fingerprint(hashes.SHA256()).hex()[:32] for one in certificates)
