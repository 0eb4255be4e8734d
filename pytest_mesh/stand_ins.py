"""The Kubernetes documents of a workload that echoes and sends: ServiceAccount, Service, Deployments. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_mesh.contracts import CONTROL_PORT, WORKLOAD_IMAGE, Implementation, Json

HTTP_PORT = 8080
"""Port on which a stand-in echoes; its Service shows it as port 80, named ``http``."""
UID = 1000
"""A uid that is no proxy's: interception by owner must see the application as one."""


def service_account(name: str) -> Json:
    """Give a ServiceAccount."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def service(name: str, ports: Mapping[int, int]) -> Json:
    """Give the Service before the pods with label ``app``; ``ports`` maps the Service's port to the pods'."""
    listed = [
        {"name": "http" if index == 0 else f"http-{port}", "port": port, "targetPort": target}
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
    ports: Sequence[int],
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


def _container(version: str, ports: Sequence[int], image: str) -> Json:
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
        ],
        "ports": [{"containerPort": port} for port in ports] + [{"containerPort": CONTROL_PORT, "name": "control"}],
        # The control port is out of interception, so this probe is right with and without a mesh.
        "readinessProbe": {
            "httpGet": {"path": "/healthz", "port": CONTROL_PORT},
            "periodSeconds": 1,
            "failureThreshold": 30,
        },
        "securityContext": {"runAsUser": UID, "runAsGroup": UID},
    }
