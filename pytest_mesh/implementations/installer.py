"""Installs an implementation on a cluster as its file says, and waits until it answers.

It is one installer for every file: what differs between meshes is data.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_mesh import documents, readiness
from pytest_mesh.contracts import WORKLOAD_IMAGE, Cluster, HoldsImages, Image, Implementation, Json, Progress
from pytest_mesh.failures import Infrastructure, MeshError
from pytest_mesh.implementations.loader import workload_image
from pytest_mesh.kube import Kube, KubeError

READY_SECONDS = 60.0
_KIND_SECONDS = 15.0
_COMMAND_SECONDS = 300.0
_RECORD = ("kube-system", "pytest-mesh")
"""ConfigMap that says what is installed, for runs that find the cluster up."""
_IMAGES_ANNOTATION = "pytest-mesh.dev/images"


def images_of(implementation: Implementation) -> dict[str, Image]:
    """Give every image that the cluster must be able to run."""
    return {WORKLOAD_IMAGE: workload_image(), **implementation.images}


def install(cluster: Cluster, kube: Kube, implementation: Implementation, progress: Progress) -> None:
    """Install what the file names, in its order; does nothing when this very thing is installed already.

    Raises ``Infrastructure`` with what could not be done.
    """
    started = time.monotonic()
    cluster.add_images(images_of(implementation), progress)
    found = _manifests(implementation, cluster.kubeconfig)
    _mark_images(found, cluster, implementation)
    digest = hashlib.sha256(
        (documents.write(*found) + repr(implementation.install) + repr(sorted(implementation.images.items()))).encode()
    ).hexdigest()
    installed = _installed(kube)
    if installed == {"name": implementation.name, "digest": digest}:
        progress(f"mesh: {implementation.name} is installed already")
        return
    if installed and installed["name"] != implementation.name:
        raise Infrastructure(
            f"cluster {cluster.name!r} has implementation {installed['name']!r} installed, not {implementation.name!r}: "
            "--mesh-fresh starts another cluster"
        )
    if not installed and cluster.backend != "existing":
        _refuse_foreign(cluster, kube)
    for document in (*_missing_namespaces(kube, found), *found):
        _apply(kube, document)
    for command in implementation.install:
        _run(command, cluster.kubeconfig)
    _wait_deployments(kube, implementation.ready)
    _wait_bundles(kube, found)
    if any(document["kind"] == "MutatingWebhookConfiguration" for document in found):
        _wait_injection(kube, implementation)
    _write_record(kube, implementation.name, digest)
    if found or implementation.install:
        progress(f"mesh: {implementation.name} is up in {time.monotonic() - started:.1f} s")


def _mark_images(found: Sequence[Json], cluster: Cluster, implementation: Implementation) -> None:
    """Write into Deployments which content their images have, so that a new build under the old name starts new pods."""
    if not isinstance(cluster, HoldsImages):
        return
    ids = {name: one for name, one in cluster.image_ids().items() if name in implementation.images}
    content = hashlib.sha256(repr(sorted(ids.items())).encode()).hexdigest()[:16]
    for document in found:
        if ids and document["kind"] == "Deployment":
            metadata = document["spec"]["template"].setdefault("metadata", {})
            metadata["annotations"] = {**(metadata.get("annotations") or {}), _IMAGES_ANNOTATION: content}


def _missing_namespaces(kube: Kube, documents_: Sequence[Json]) -> list[Json]:
    """Give the namespaces that documents are in, that no document makes and that are not there (Helm charts, istioctl)."""
    named = {str(one["metadata"]["namespace"]) for one in documents_ if one["metadata"].get("namespace")}
    made = {str(one["metadata"]["name"]) for one in documents_ if one["kind"] == "Namespace"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in sorted(named - made)
        if kube.find(f"/api/v1/namespaces/{name}") is None
    ]


def _refuse_foreign(cluster: Cluster, kube: Kube) -> None:
    """Stop where somebody installed a mesh by hand: two of them on one cluster prove nothing of either."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
    try:
        names = [one["metadata"]["name"] for one in kube.list(path)]
    except KubeError as error:
        if error.status == 404:
            return
        raise Infrastructure(f"cluster {cluster.name!r}: {error}") from error
    if names:
        raise Infrastructure(
            f"cluster {cluster.name!r} holds a mesh that was not installed by a run (webhook {names[0]!r}): "
            "--mesh-fresh starts another cluster"
        )


def _manifests(implementation: Implementation, kubeconfig: Path) -> list[Json]:
    found: list[Json] = []
    try:
        if implementation.manifests_command:
            command = " ".join(implementation.manifests_command)
            found += documents.parse(_run(implementation.manifests_command, kubeconfig), source=f"output of {command}")
        for path in implementation.manifests:
            found += documents.read(Path(path))
    except documents.DocumentError as error:
        raise Infrastructure(f"implementation {implementation.name!r}: {error}") from error
    return found


def _run(command: Sequence[str], kubeconfig: Path) -> str:
    line = " ".join(command)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Infrastructure(f"{line}: {error}") from error
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise Infrastructure(f"{line}: exit code {done.returncode}: {last or 'no message'}")
    return done.stdout


def _apply(kube: Kube, document: Json) -> None:
    """Apply a document; wait for its kind, and for a webhook that is not up yet."""
    name = f"{document['kind']} {document['metadata']['name']}"
    deadline = time.monotonic() + _KIND_SECONDS
    while True:
        try:
            kube.apply(document, strict=False)
        except KubeError as error:
            transient = error.status == 404 or "failed calling webhook" in error.message
            if not transient or time.monotonic() > deadline:
                raise Infrastructure(f"{name} cannot be installed: {error.message}") from error
            time.sleep(0.1)
        else:
            return


def _wait_deployments(kube: Kube, names: Sequence[str]) -> None:
    for name in names:
        namespace, _, deployment = name.partition("/")
        try:
            document = kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
            expected = readiness.expected_of({**document, "kind": "Deployment"})
            if expected is not None:
                readiness.wait_ready(kube, namespace, [expected], seconds=READY_SECONDS)
        except KubeError as error:
            raise Infrastructure(
                f"Deployment {name}, which the implementation's file names: {error.message}"
            ) from error
        except MeshError as error:
            raise Infrastructure(f"Deployment {name} does not become ready: {error}") from error


def _wait_bundles(kube: Kube, documents_: Sequence[Json]) -> None:
    """Wait until each webhook that came without a caBundle has one: control planes write it when they can answer."""
    for document in documents_:
        if document["kind"] not in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
            continue
        name, plural = document["metadata"]["name"], f"{document['kind'].lower()}s"
        path = f"/apis/admissionregistration.k8s.io/v1/{plural}/{name}"
        deadline = time.monotonic() + READY_SECONDS
        while missing := _without_bundle(kube.get(path)):
            if time.monotonic() > deadline:
                raise Infrastructure(
                    f"{document['kind']} {name}: webhook {missing[0]} has no caBundle after {READY_SECONDS:g} s: "
                    "the control plane did not write it"
                )
            time.sleep(0.05)


def _without_bundle(configuration: Json) -> list[str]:
    """Name the webhooks behind Services whose certificate nobody could check."""
    return [
        str(webhook["name"])
        for webhook in configuration.get("webhooks") or ()
        if webhook["clientConfig"].get("service") and not webhook["clientConfig"].get("caBundle")
    ]


def _wait_rollouts(kube: Kube, names: Sequence[str]) -> None:
    """Wait until no pod of an earlier installation answers any more."""
    deadline = time.monotonic() + READY_SECONDS
    for name in names:
        namespace, _, deployment = name.partition("/")
        while True:
            found = kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
            status = found.get("status") or {}
            wanted = found["spec"].get("replicas", 1)
            counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
            if status.get("observedGeneration", 0) >= found["metadata"]["generation"] and counts == [wanted] * 3:
                break
            if time.monotonic() > deadline:
                raise Infrastructure(f"Deployment {name} is not rolled out after {READY_SECONDS:g} s")
            time.sleep(0.1)


def _wait_injection(kube: Kube, implementation: Implementation) -> None:
    """Wait until a Pod that is created (as a dry run) comes back injected."""
    if not (implementation.injection_labels and implementation.proxy_container):
        return
    namespace = f"mesh-probe-{secrets.token_hex(3)}"
    labels = dict(implementation.injection_labels)
    kube.create(
        "/api/v1/namespaces",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "namespace": namespace},
        "spec": {"containers": [{"name": "probe", "image": WORKLOAD_IMAGE}]},
    }
    deadline = time.monotonic() + READY_SECONDS
    last = "the pod came back without its proxy"
    try:
        while time.monotonic() < deadline:
            try:
                spec = kube.create(f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")["spec"]
            except KubeError as error:
                last = error.message
            else:
                containers = (*(spec.get("initContainers") or ()), *spec["containers"])
                if any(one["name"] == implementation.proxy_container for one in containers):
                    return
            time.sleep(0.05)
    finally:
        kube.delete(f"/api/v1/namespaces/{namespace}")
    raise Infrastructure(
        f"{implementation.name}: the injection webhook does not answer after {READY_SECONDS:g} s: {last}"
    )


def _installed(kube: Kube) -> dict[str, str]:
    namespace, name = _RECORD
    found = kube.find(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    return dict(found["data"]) if found else {}


def _write_record(kube: Kube, implementation: str, digest: str) -> None:
    namespace, name = _RECORD
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": {"name": implementation, "digest": digest},
        }
    )
