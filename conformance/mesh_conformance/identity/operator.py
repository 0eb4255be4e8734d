"""The operator's hand on the mesh: its root, its settings, its control plane taken away. It judges nothing."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import yaml

from mesh_conformance.identity.minted import PLUGGED_IN
from pytest_mesh.contracts import Json
from pytest_mesh.identity.minting import Authority, pem
from pytest_mesh.kube import KubeError
from pytest_mesh.namespace import MeshNamespace

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
MESH_CONFIG = "istio"
"""ConfigMap of the mesh's settings, by Istio's API: YAML under the key ``mesh``."""
RESTARTED = "kubectl.kubernetes.io/restartedAt"
LOOKED_AT = "pytest-mesh/volumes-looked-at"
GONE = 404
RESTART_SECONDS = 90.0


def plug_in(namespace: MeshNamespace, signing: Authority, roots: Sequence[Authority]) -> None:
    """Have the mesh sign with ``signing`` and publish ``roots``; return when a control plane that does so is up.

    A signing authority below a root is told by what stands ``above`` it.
    """
    place = namespace.implementation.root_secret[0]
    files = {
        "ca-cert.pem": signing.pem(),
        "ca-key.pem": signing.key_pem(),
        "cert-chain.pem": signing.pem() + "".join(pem(one) for one in signing.above),
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


def hasten_kubelets(namespace: MeshNamespace) -> None:
    """Have the kubelets bring what changed in mounted ConfigMaps to this run's pods at once, not within a minute or two.

    A kubelet looks at a pod's volumes again when an annotation of the pod has changed.
    """
    pods = namespace.kube.resource("v1", "Pod")
    stamp = {"metadata": {"annotations": {LOOKED_AT: datetime.now(UTC).isoformat()}}}
    for pod in namespace.kube.list(pods.path("")):
        place = pod["metadata"]["namespace"]
        if place.startswith("mesh-") and not pod["metadata"].get("deletionTimestamp"):
            path = pods.path(place, pod["metadata"]["name"])
            try:
                namespace.kube.json("PATCH", path, body=stamp, content_type=MERGE)
            except KubeError as error:
                if error.status != GONE:
                    raise


@contextmanager
def with_environment(namespace: MeshNamespace, variables: Mapping[str, str]) -> Iterator[None]:
    """Run the control plane with these variables as well, as ``kubectl set env`` gives them; restart it before and after."""
    before: dict[str, list[Json]] = {}
    for name in namespace.implementation.ready:
        place, _, deployment = name.partition("/")
        path = namespace.kube.resource("apps/v1", "Deployment").path(place, deployment)
        before[path] = namespace.kube.get(path)["spec"]["template"]["spec"]["containers"][0].get("env") or []
    given: list[Json] = [{"name": name, "value": value} for name, value in variables.items()]
    during = {path: [*(one for one in env if one["name"] not in variables), *given] for path, env in before.items()}

    def give(environments: Mapping[str, list[Json]]) -> None:
        for path, env in environments.items():
            change = {"op": "add", "path": "/spec/template/spec/containers/0/env", "value": env}
            namespace.kube.json("PATCH", path, body=[change], content_type=JSON_PATCH)
        restart(namespace)

    try:
        give(during)
        yield
    finally:
        give(before)


@contextmanager
def with_mesh_config(namespace: MeshNamespace, changes: Json) -> Iterator[None]:
    """Run the control plane with these keys in its mesh config, where it keeps that as Istio does; restart it."""
    path = namespace.kube.resource("v1", "ConfigMap").path(namespace.implementation.root_secret[0], MESH_CONFIG)
    before = namespace.kube.get(path)["data"]["mesh"]

    def give(text: str) -> None:
        namespace.kube.json("PATCH", path, body={"data": {"mesh": text}}, content_type=MERGE)
        restart(namespace)

    try:
        give(yaml.safe_dump({**yaml.safe_load(before), **changes}))
        yield
    finally:
        give(before)


@contextmanager
def away(namespace: MeshNamespace) -> Iterator[None]:
    """Have no control plane at all for a while; wait until it is gone, and afterwards until it is back."""
    replicas = {}
    for name in namespace.implementation.ready:
        place, _, deployment = name.partition("/")
        path = namespace.kube.resource("apps/v1", "Deployment").path(place, deployment)
        replicas[path] = namespace.kube.get(path)["spec"].get("replicas", 1)

    def scale(counts: Mapping[str, int]) -> None:
        for path, count in counts.items():
            namespace.kube.json("PATCH", path, body={"spec": {"replicas": count}}, content_type=MERGE)
            namespace.eventually(
                partial(_rolled_out, namespace, path), f"{path} with {count} pods", seconds=RESTART_SECONDS
            )

    try:
        scale(dict.fromkeys(replicas, 0))
        yield
    finally:
        scale(replicas)


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
