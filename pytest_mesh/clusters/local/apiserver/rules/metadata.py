"""The rules of every object's metadata. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import objects
from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.rules import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

_NAME_RULES = {"services": "label1035", "namespaces": "label"}
ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotations' keys and values together."""


def name_rule(info: ResourceInfo) -> str:
    """Give the rule by which a resource's objects are named, as ``objects.name_fault`` knows it."""
    return "path" if "rbac" in info.group else _NAME_RULES.get(info.key, "subdomain")


def check(info: ResourceInfo, obj: Json) -> Iterator[Cause]:
    """Give the faults of an object's metadata."""
    metadata = obj["metadata"]
    rule, generate = name_rule(info), metadata.get("generateName")
    if generate:
        # A dash at its end is no fault: letters will follow.
        cut = generate[:-1] + "a" if generate.endswith("-") else generate
        if (fault := objects.name_fault(cut, rule)) is not None:
            yield faults.wrong("metadata.generateName", generate, fault)
    if (fault := objects.name_fault(metadata["name"], rule)) is not None:
        yield faults.wrong("metadata.name", metadata["name"], fault)
    yield from faults.labels(metadata.get("labels"), "metadata.labels")
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        # Capitals are allowed in an annotation's prefix.
        if (fault := objects.label_key_fault(key.lower())) is not None:
            yield faults.wrong("metadata.annotations", key, fault)
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        text = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        yield Cause(field="metadata.annotations", message=text, reason="FieldValueTooLong")
    yield from _owners(metadata)
    yield from _finalizers(metadata, core=not info.custom and info.kind != "CustomResourceDefinition")


def _finalizers(metadata: Json, *, core: bool) -> Iterator[Cause]:
    for index, finalizer in enumerate(metadata.get("finalizers") or ()):
        at = f"metadata.finalizers[{index}]"
        if (fault := objects.label_key_fault(finalizer)) is not None:
            yield faults.wrong("metadata.finalizers", finalizer, fault)
        if core and "/" not in finalizer and finalizer not in ("orphan", "foregroundDeletion", "kubernetes"):
            yield faults.wrong(at, finalizer, "name is neither a standard finalizer name nor is it fully qualified")


def _owners(metadata: Json) -> Iterator[Cause]:
    controllers = []
    at = "metadata.ownerReferences"
    for owner in metadata.get("ownerReferences") or ():
        version = owner.get("apiVersion", "")
        if not version or version.count("/") > 1:
            yield faults.wrong(f"{at}.apiVersion", version, "version must not be empty")
        for name in ("kind", "name", "uid"):
            if not owner.get(name):
                yield faults.wrong(f"{at}.{name}", "", "must not be empty")
        if owner.get("controller"):
            controllers.append(owner)
    if len(controllers) > 1:
        first, second = (f"{owner['kind']}/{owner['name']}" for owner in controllers[:2])
        shown = objects.shown(metadata["ownerReferences"])
        why = f'Only one reference can have Controller set to true. Found "true" in references for {first} and {second}'
        yield Cause(field="metadata.ownerReferences", message=f"Invalid value: {shown}: {why}")
