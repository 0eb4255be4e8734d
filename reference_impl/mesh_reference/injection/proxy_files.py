"""The volumes of a proxy and where they are mounted (row §2.2). Pure."""

from __future__ import annotations

import json
from typing import Any

from mesh_reference.injection.frame import Frame

Json = dict[str, Any]

REVOCATIONS = "istio-ca-crl"


def mounts(frame: Frame) -> list[Json]:
    """The volume mounts of istio-proxy, and those of the annotation sidecar.istio.io/userVolumeMount."""
    found: list[Json] = [
        {"name": "workload-socket", "mountPath": "/var/run/secrets/workload-spiffe-uds"},
        {"name": "credential-socket", "mountPath": "/var/run/secrets/credential-uds"},
        {"name": "workload-certs", "mountPath": "/var/run/secrets/workload-spiffe-credentials"},
        {"name": "istiod-ca-cert", "mountPath": "/var/run/secrets/istio"},
        {"name": "istio-ca-crl", "mountPath": "/var/run/secrets/istio/crl"},
        {"name": "istio-data", "mountPath": "/var/lib/istio/data"},
        {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
        {"name": "istio-token", "mountPath": "/var/run/secrets/tokens"},
        {"name": "istio-podinfo", "mountPath": "/etc/istio/pod"},
    ]
    for name, mount in _user_objects(frame, "sidecar.istio.io/userVolumeMount").items():
        found.append({**mount, "name": name})
    return found


def volumes(frame: Frame) -> list[Json]:
    """The volumes of the proxy, and those that the annotation sidecar.istio.io/userVolume asks for."""
    found: list[Json] = [
        {"name": "workload-socket", "emptyDir": {}},
        {"name": "credential-socket", "emptyDir": {}},
        {"name": "workload-certs", "emptyDir": {}},
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-data", "emptyDir": {}},
        {
            "name": "istio-podinfo",
            "downwardAPI": {
                "items": [
                    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                    {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}},
                ]
            },
        },
        {
            "name": "istio-token",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}}
                ]
            },
        },
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
        {"name": "istio-ca-crl", "configMap": {"name": "istio-ca-crl", "optional": True}},
    ]
    for name, volume in _user_objects(frame, "sidecar.istio.io/userVolume").items():
        found.append({**volume, "name": name})
    return found


def _user_objects(frame: Frame, annotation: str) -> dict[str, Json]:
    text = frame.annotations.get(annotation)
    return {} if text is None else parse_user_objects(annotation, text)


def parse_user_objects(annotation: str, text: str) -> dict[str, Json]:
    """``{"name": {...}}`` of the annotations userVolume and userVolumeMount; ValueError on anything else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as problem:
        raise ValueError(f"annotation {annotation} is not JSON: {problem}") from problem
    if not isinstance(found, dict) or not all(isinstance(item, dict) for item in found.values()):
        raise ValueError(f'annotation {annotation}: want a JSON object of objects, such as {{"name": {{}}}}')
    return found
