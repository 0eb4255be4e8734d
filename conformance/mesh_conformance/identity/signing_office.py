"""The mesh's certificate service as a workload finds it: by the address and the token that its own pod was injected with.

Obtained, not judged. A mesh whose pods name no such service has none for these checks.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pytest_mesh.contracts import Json
from pytest_mesh.identity.csr_client import Answer, create_certificate
from pytest_mesh.identity.minting import Svid
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.tunnels import tunnel

ADDRESS, CLUSTER = "CA_ADDR", "ISTIO_META_CLUSTER_ID"
"""Variables of an injected proxy: where certificates are asked for, and the cluster that it says it lives in."""
TOKEN_SECONDS = 600

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where to ask, and what for."""

    namespace: MeshNamespace
    address: str
    server_name: str
    audience: str
    cluster: str = ""
    """Told with each request, as proxies do; empty = their pods name none."""

    def ask(
        self,
        csr: bytes,
        *,
        token: str = "",
        ttl_seconds: int = 0,
        metadata: Sequence[tuple[str, str]] = (),
        wishes: Mapping[str, str] | None = None,
        svid: Svid | None = None,
    ) -> Answer:
        """Send one request; ``metadata`` stands in the place of what a proxy would tell."""
        return create_certificate(
            self.address,
            csr,
            root_pem=self.namespace.trust_bundle(),
            server_name=self.server_name,
            token=token,
            ttl_seconds=ttl_seconds,
            metadata=metadata or ([("clusterid", self.cluster)] if self.cluster else []),
            wishes=wishes,
            svid=svid,
        )

    def token(self, account: str, *, audiences: Sequence[str] | None = None, pod: Json | None = None) -> str:
        """Get a token for a ServiceAccount of the namespace, for the service's audience unless others are given."""
        spec: Json = {
            "audiences": [self.audience] if audiences is None else list(audiences),
            "expirationSeconds": TOKEN_SECONDS,
        }
        if pod is not None:
            metadata = pod["metadata"]
            spec["boundObjectRef"] = {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "uid": metadata["uid"],
            }
        path = f"/api/v1/namespaces/{self.namespace.name}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return str(self.namespace.kube.json("POST", path, body=body)["status"]["token"])


def can_ask() -> bool:
    """Tell whether what a request is sent by is installed."""
    return importlib.util.find_spec("grpc") is not None


@contextmanager
def opened(namespace: MeshNamespace, workload: str, *, port: int = 0) -> Iterator[Office]:
    """Give the service that a workload's proxy asks, at another ``port`` where one is given; not applicable where there is none."""
    if not can_ask():
        pytest.skip(f"{NOT_APPLICABLE}asking the certificate service needs the PyPI package grpcio (extra [reference])")
    pod = namespace.pod(workload)
    address, audience, cluster = _variable(pod, ADDRESS), _audience(pod), _variable(pod, CLUSTER)
    if namespace.implementation.proxy_container:
        proxy = namespace.implementation.proxy_container
        names = [one["name"] for one in (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])]
        assert proxy in names, f"{workload} has no container {proxy} that could ask for a certificate, only {names}"
    if not (address and audience):
        pytest.skip(f"{NOT_APPLICABLE}the proxy of {workload} names no certificate service ({ADDRESS}) or no token")
    host, _, asked = address.rpartition(":")
    name, place = host.split(".")[:2]
    service, wanted = namespace.get("v1", "Service", name, namespace=place), port or int(asked)
    targets = {one["port"]: one.get("targetPort", one["port"]) for one in service["spec"]["ports"]}
    assert wanted in targets, f"Service {place}/{name} has no port {wanted}, only {sorted(targets)}"
    labels = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
    pods = namespace.kube.list(f"/api/v1/namespaces/{place}/pods", labelSelector=labels)
    serving = next(one["metadata"]["name"] for one in pods if _is_ready(one))
    with tunnel(namespace.kube, place, serving, int(targets[wanted])) as local:
        yield Office(namespace=namespace, address=local, server_name=host, audience=audience, cluster=cluster)


def request(
    key: Key, names: Sequence[x509.GeneralName] = (), extensions: Sequence[tuple[x509.ExtensionType, bool]] = ()
) -> bytes:
    """Make a CSR, PEM, with these wishes."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def _variable(pod: Json, name: str) -> str:
    spec = pod["spec"]
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        for variable in container.get("env") or ():
            if variable["name"] == name and variable.get("value"):
                return str(variable["value"])
    return ""


def _audience(pod: Json) -> str:
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            audience = (source.get("serviceAccountToken") or {}).get("audience")
            if audience:
                return str(audience)
    return ""


def _is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return not pod["metadata"].get("deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in conditions
    )
