"""Installs an implementation on a cluster as its file says, and waits until it answers.

It is one installer for every file: what differs between meshes is data.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_mesh import documents
from pytest_mesh.contracts import WORKLOAD_IMAGE, Cluster, HoldsImages, Image, Implementation, Json, Progress
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations import commands, foreign, installed, presence
from pytest_mesh.implementations.installed import Made
from pytest_mesh.implementations.presence import READY_SECONDS
from pytest_mesh.implementations.running import workload_image
from pytest_mesh.kube import Kube, KubeError

_KIND_SECONDS = 15.0
_DEFINITION = "CustomResourceDefinition"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_IMAGES_ANNOTATION = "pytest-mesh.dev/images"


def images_of(implementation: Implementation) -> dict[str, Image]:
    """Give every image that the cluster must be able to run."""
    return {WORKLOAD_IMAGE: workload_image(), **implementation.images}


@contextmanager
def _blamed_on_the_environment() -> Iterator[None]:
    """Make a refusal of the API server's an ``Infrastructure``: no mesh is judged before it is installed."""
    try:
        yield
    except KubeError as error:
        raise Infrastructure(f"the mesh can neither be installed nor looked at: {error}") from error


@_blamed_on_the_environment()
def install(
    cluster: Cluster,
    kube: Kube,
    implementation: Implementation,
    progress: Progress,
    *,
    beside: bool = False,
    process: str = "",
    fit: Callable[[Sequence[Json]], list[Json]] = list,
) -> None:
    """Install what the file names, in its order; does nothing when this very thing is installed already.

    ``beside`` = another mesh is there or comes: the kinds that are defined already stay as they are.
    ``process`` is written down as the installer; ``fit`` gives the documents as the cluster needs them.
    Raises ``Infrastructure`` with what could not be done.
    """
    started = time.monotonic()
    cluster.add_images(images_of(implementation), progress)
    if implementation.already_there:
        expect(kube, implementation, progress)
        return
    found = fit(_manifests(implementation, cluster.kubeconfig))
    _mark_images(found, cluster, implementation)
    digest = hashlib.sha256(
        (documents.write(*found) + repr(implementation.install) + repr(sorted(implementation.images.items()))).encode()
    ).hexdigest()
    guest = cluster.backend == "existing"
    record = installed.Record.of(implementation.name, beside=beside, guest=guest)
    before = record.read(kube)
    if before is not None and (before.name, before.digest) == (implementation.name, digest):
        _tell_doubts(presence.require(kube, implementation, injection=_injects(implementation, found)), progress)
        progress(f"mesh: {implementation.name} is installed already")
        return
    if before is not None and before.name != implementation.name:
        raise Infrastructure(
            f"cluster {cluster.name!r} has implementation {before.name!r} installed, not {implementation.name!r}: "
            + (f"pytest-mesh implementation remove {before.name}" if guest else "--mesh-fresh starts another cluster")
        )
    if before is None and not (beside and installed.any_beside(kube)):
        _refuse_foreign(cluster, kube, implementation, found)
    if beside:
        found = _without_known_kinds(kube, found)
    # First of all, and at each object: a run that is killed leaves word, and the next one goes on from there.
    if before is not None and not before.digest:
        progress(f"mesh: {implementation.name} was left half installed: going on with it")
    state = installed.Installed(name=implementation.name, digest="", process=process)
    if before is not None:
        state = dataclasses.replace(state, made=before.made, kept=before.kept)
    record.make_room(kube, implementation.name)
    record.write(kube, state)
    labels = installed.labels(kube, implementation.name)
    for document in (*_missing_namespaces(kube, found), *found):
        if _apply(kube, document, labels) and Made.of(document) not in state.made:
            state = dataclasses.replace(state, made=(*state.made, Made.of(document)))
            record.write(kube, state)
    for command in implementation.install:
        commands.run(command, cluster.kubeconfig)
    presence.require_control_plane(kube, implementation)
    _wait_bundles(kube, found)
    _tell_doubts(presence.require(kube, implementation, injection=_injects(implementation, found)), progress)
    record.write(kube, dataclasses.replace(state, digest=digest))
    if found or implementation.install:
        progress(f"mesh: {implementation.name} is up in {time.monotonic() - started:.1f} s")


@_blamed_on_the_environment()
def expect(kube: Kube, implementation: Implementation, progress: Progress) -> None:
    """Have the mesh there already; raises ``Infrastructure`` with the keys of the file that say otherwise."""
    looked = presence.require(kube, implementation, injection=_injects(implementation, ()))
    if looked.unseen:
        progress(f"mesh: not looked at, for this user may not: {', '.join(looked.unseen)}")
    _tell_doubts(looked, progress)
    progress(f"mesh: {implementation.name} is there")


def _tell_doubts(looked: presence.Look, progress: Progress) -> None:
    for one in looked.doubts:
        progress(f"mesh: the file or the mesh is wrong: {one}")


def _injects(implementation: Implementation, found: Sequence[Json]) -> bool:
    """Whether a Pod must come back injected before a run begins: where there is a control plane or a webhook.

    A file that names neither (``none``) is judged by the checks alone.
    """
    return bool(implementation.namespace) or any(one["kind"] == "MutatingWebhookConfiguration" for one in found)


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


def _refuse_foreign(cluster: Cluster, kube: Kube, implementation: Implementation, found: Sequence[Json]) -> None:
    """Stop where somebody installed a mesh by hand: two of them on one cluster prove nothing of either."""
    judged = f"where that mesh is the one to judge, say already_there = true: {implementation.where('install')}"
    if cluster.backend == "existing":
        foreign.refuse(kube, cluster.name, found, judged)
        return
    try:
        names = [one["metadata"]["name"] for one in kube.list(_WEBHOOKS)]
    except KubeError as error:
        if error.status == 404:
            return
        raise Infrastructure(f"cluster {cluster.name!r}: {error}") from error
    if names:
        raise Infrastructure(
            f"cluster {cluster.name!r} holds a mesh that was not installed by a run (webhook {names[0]!r}): "
            f"--mesh-fresh starts another cluster; {judged}"
        )


def _manifests(implementation: Implementation, kubeconfig: Path) -> list[Json]:
    found: list[Json] = []
    try:
        if implementation.manifests_command:
            command = " ".join(implementation.manifests_command)
            found += documents.parse(
                commands.run(implementation.manifests_command, kubeconfig), source=f"output of {command}"
            )
        for path in implementation.manifests:
            found += documents.read(Path(path))
    except documents.DocumentError as error:
        raise Infrastructure(f"implementation {implementation.name!r}: {error}") from error
    return found


def _apply(kube: Kube, document: Json, labels: Mapping[str, str]) -> bool:
    """Apply a document; wait for its kind, and for a webhook that is not up yet. Gives whether it made the object."""
    own = {**(document["metadata"].get("labels") or {}), **labels}
    document = {**document, "metadata": {**document["metadata"], "labels": own}}
    name = f"{document['kind']} {document['metadata']['name']}"
    deadline = time.monotonic() + _KIND_SECONDS
    while True:
        try:
            metadata = document["metadata"]
            path = kube.resource(document["apiVersion"], document["kind"]).path
            new = kube.find(path(metadata.get("namespace", ""), metadata["name"])) is None
            kube.apply(document, strict=False)
        except KubeError as error:
            transient = error.status == 404 or "failed calling webhook" in error.message
            if not transient or time.monotonic() > deadline:
                raise Infrastructure(f"{name} cannot be installed: {error.message}") from error
            time.sleep(0.1)
        else:
            return new


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


def _without_known_kinds(kube: Kube, found: Sequence[Json]) -> list[Json]:
    known = _known_kinds(kube)
    return [one for one in found if one["kind"] != _DEFINITION or one["metadata"]["name"] not in known]


def _known_kinds(kube: Kube) -> set[str]:
    return {
        str(one["metadata"]["name"]) for one in kube.list("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    }
