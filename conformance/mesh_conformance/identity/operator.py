"""The operator's hand on the mesh's root: Secret ``cacerts`` is written, the control plane restarted. It judges nothing."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from mesh_conformance.identity.minted import PLUGGED_IN
from pytest_mesh.identity.minting import Authority
from pytest_mesh.namespace import MeshNamespace

MERGE = "application/merge-patch+json"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
RESTART_SECONDS = 90.0


def plug_in(namespace: MeshNamespace, signing: Authority, roots: Sequence[Authority]) -> None:
    """Have the mesh sign with ``signing`` and publish ``roots``; return when a control plane that does so is up."""
    place = namespace.implementation.root_secret[0]
    files = {
        "ca-cert.pem": signing.pem(),
        "ca-key.pem": signing.key_pem(),
        "cert-chain.pem": signing.pem(),
        "root-cert.pem": "".join(root.pem() for root in roots),
    }
    data = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
    metadata = {"name": PLUGGED_IN, "namespace": place}
    namespace.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data})
    restart(namespace)


def unplug(namespace: MeshNamespace) -> None:
    """Give the mesh back its own root."""
    place = namespace.implementation.root_secret[0]
    namespace.kube.delete(namespace.kube.resource("v1", "Secret").path(place, PLUGGED_IN))
    restart(namespace)


def restart(namespace: MeshNamespace) -> None:
    """Roll the control plane out anew, as ``kubectl rollout restart`` does, and wait until the old one is gone."""
    for name in namespace.implementation.ready:
        place, _, deployment = name.partition("/")
        path = namespace.kube.resource("apps/v1", "Deployment").path(place, deployment)
        stamp = {"annotations": {RESTARTED: datetime.now(UTC).isoformat()}}
        namespace.kube.json("PATCH", path, body={"spec": {"template": {"metadata": stamp}}}, content_type=MERGE)
        namespace.eventually(partial(_rolled_out, namespace, path), f"{name} rolled out", seconds=RESTART_SECONDS)


def _rolled_out(namespace: MeshNamespace, path: str) -> bool:
    found = namespace.kube.get(path)
    status, wanted = found.get("status") or {}, found["spec"].get("replicas", 1)
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
    return status.get("observedGeneration", 0) >= found["metadata"]["generation"] and counts == [wanted] * 3


class Timeline:
    """What happened when, in seconds since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.events: list[str] = []

    def note(self, event: str) -> None:
        """Write down that this has happened."""
        self.events.append(f"{time.monotonic() - self._began:.1f} s: {event}")
