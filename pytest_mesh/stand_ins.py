"""The Kubernetes documents of a workload that echoes and sends: ServiceAccount, Service, Deployments. Pure, but for its throw-away certificate."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pytest_mesh.contracts import CONTROL_PORT, WORKLOAD_IMAGE, Implementation, Json

HTTP_PORT = 8080
"""Port on which a stand-in echoes; its Service shows it as port 80, named ``http``."""
UID = 1000
"""A uid that is no proxy's: interception by owner must see the application as one."""


def service_account(name: str) -> Json:
    """Give a ServiceAccount."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


PROTOCOLS = ("http", "http2", "grpc", "tcp", "tls")
"""What a stand-in's port may be declared to speak."""


def service(name: str, ports: Mapping[int, int], protocols: Mapping[int, str] | None = None) -> Json:
    """Give the Service before the pods with label ``app``; ``ports`` maps the Service's port to the pods'.

    ``protocols`` says by the Service's port what its name declares; default ``http``. Raises ValueError for another word.
    """
    told = protocols or {}
    for port, protocol in told.items():
        if port not in ports or protocol not in PROTOCOLS:
            raise ValueError(f"protocols: {port}: {protocol!r}: want a port of ports and one of {', '.join(PROTOCOLS)}")
    listed = [
        {
            "name": told.get(port, "http") if index == 0 else f"{told.get(port, 'http')}-{port}",
            "port": port,
            "targetPort": target,
        }
        for index, (port, target) in enumerate(ports.items())
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"selector": {"app": name}, "ports": listed},
    }


def deployment(
    name: str,
    *,
    app: str,
    version: str,
    account: str,
    replicas: int,
    ports: Sequence[int | str],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    image: str = WORKLOAD_IMAGE,
    pull_secret: str = "",
) -> Json:
    """Give the Deployment of one version of a workload."""
    secrets = {"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}
    pod_labels = {"app": app, "version": version, **labels}
    selector = {"app": app, "version": version}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": selector},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {"labels": pod_labels, "annotations": dict(annotations)},
                "spec": {
                    "serviceAccountName": account,
                    "terminationGracePeriodSeconds": 3,
                    **secrets,
                    "containers": [_container(version, ports, image)],
                },
            },
        },
    }


def pod_annotations(implementation: Implementation, *, svid_ttl: str = "") -> dict[str, str]:
    """Give what the implementation wants on every workload's pod; raises ValueError where it cannot do what is asked."""
    annotations = dict(implementation.pod_annotations)
    if implementation.exclude_inbound_annotation:
        annotations[implementation.exclude_inbound_annotation] = str(CONTROL_PORT)
    if svid_ttl:
        if not (implementation.proxy_metadata_annotation and implementation.svid_ttl_key):
            raise ValueError(
                f"svid_ttl: implementation {implementation.name!r} names no proxy_metadata_annotation and svid_ttl_key"
            )
        annotations[implementation.proxy_metadata_annotation] = (
            f'proxyMetadata:\n  {implementation.svid_ttl_key}: "{svid_ttl}"\n'
        )
    return annotations


def spoken(ports: Mapping[int, int], protocols: Mapping[int, str]) -> tuple[int | str, ...]:
    """Give the pods' ports as the workload takes them: ``8080``, ``tcp:9000``, ``tls:9443``."""
    words = {target: protocols.get(port, "http") for port, target in ports.items()}
    return tuple(f"{word}:{target}" if word in {"tcp", "tls"} else target for target, word in words.items())


@functools.cache
def throwaway_certificate() -> str:
    """Give certificate and key (PEM) for workloads that speak TLS themselves: nobody trusts it, and nobody checks it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pytest-mesh workload")])
    began = datetime.now(UTC) - timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(x509.random_serial_number()).not_valid_before(began)
    certificate = dated.not_valid_after(began + timedelta(days=30)).sign(key, hashes.SHA256())
    return (
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    ).decode()


def _container(version: str, ports: Sequence[int | str], image: str) -> Json:
    tls = any(str(port).startswith("tls:") for port in ports)
    numbers = [int(str(port).rpartition(":")[2]) for port in ports]

    def downward(path: str) -> Json:
        return {"fieldRef": {"fieldPath": path}}

    return {
        "name": "workload",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [str(port) for port in ports],
        "env": [
            {"name": "MESH_VERSION", "value": version},
            {"name": "POD_NAME", "valueFrom": downward("metadata.name")},
            {"name": "POD_NAMESPACE", "valueFrom": downward("metadata.namespace")},
            {"name": "SERVICE_ACCOUNT", "valueFrom": downward("spec.serviceAccountName")},
            *([{"name": "MESH_TLS_PEM", "value": throwaway_certificate()}] if tls else []),
        ],
        "ports": [{"containerPort": port} for port in numbers] + [{"containerPort": CONTROL_PORT, "name": "control"}],
        # The control port is out of interception, so this probe is right with and without a mesh.
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": CONTROL_PORT},
            "periodSeconds": 1,
            "failureThreshold": 30,
        },
        "securityContext": {"runAsUser": UID, "runAsGroup": UID},
    }
