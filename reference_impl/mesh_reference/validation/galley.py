"""One resource in, its findings out: the door of Galley. Pure.

The shape is checked first; rules run only on a document of the right shape, as
Istio decodes before it validates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mesh_reference.model.schema import kinds
from mesh_reference.model.schema.shape import Misfit, misfits
from mesh_reference.model.schema.types import LABELS, TEXT, Message
from mesh_reference.validation.destination_rule import check_destination_rule
from mesh_reference.validation.findings import Finding, Findings
from mesh_reference.validation.peer_authentication import check_peer_authentication
from mesh_reference.validation.virtual_service import check_virtual_service

Json = Mapping[str, Any]

_RULES: dict[str, Callable[[Findings, str, Json], None]] = {
    "VirtualService": check_virtual_service,
    "DestinationRule": check_destination_rule,
    "PeerAuthentication": check_peer_authentication,
}
_TOP_LEVEL = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_METADATA = Message(
    name="ObjectMeta", fields={"name": TEXT, "namespace": TEXT, "labels": LABELS, "annotations": LABELS}
)
_FORBIDDEN_ANNOTATIONS = {
    "internal.istio.io/parents": "this may not be set by users",
    "internal.istio.io/parent-namespace": "this may not be set by users",
    "internal.istio.io/webhook-always-reject": "rejecting",
}


def is_ours(resource: Json) -> bool:
    """Whether the resource's API group is one that this mesh serves: others are no business of Galley's."""
    group = str(resource.get("apiVersion") or "").partition("/")[0]
    return group in kinds.GROUPS or group.endswith(".istio.io")


def validate(resource: Json, *, namespace: str = "") -> list[Finding]:
    """All findings of one resource, in document order as far as the rules go.

    ``namespace`` counts where the document names none; default ``default``.
    """
    out = Findings()
    group, _, version = str(resource.get("apiVersion") or "").partition("/")
    name = str(resource.get("kind") or "")
    kind = kinds.find(group, name)
    if kind is None or version not in kind.versions:
        out.error(("kind",), "unknown-kind", _unknown_kind(group, version, name))
        return list(out)
    for field in resource:
        if field not in _TOP_LEVEL:
            out.error((field,), "unknown-field", f'unknown field "{field}" in {name}')
    for misfit in _metadata_misfits(resource.get("metadata")):
        out.error(misfit.path, misfit.rule, misfit.message)
    spec = {} if resource.get("spec") is None else resource["spec"]
    for misfit in misfits(spec, kind.spec, ("spec",)):
        out.error(misfit.path, misfit.rule, misfit.message)
    if len(out):
        return list(out)
    metadata = _without_nulls(resource.get("metadata") or {})
    _check_annotations(out, metadata)
    own_namespace = str(metadata.get("namespace") or namespace or "default")
    _RULES[name](out, own_namespace, _without_nulls(spec))
    return list(out)


def _metadata_misfits(metadata: Any) -> Iterator[Misfit]:
    """Only the part that rules read: the rest is the API server's."""
    if metadata is None:
        return
    read = metadata
    if isinstance(metadata, dict):
        read = {name: metadata[name] for name in _METADATA.fields if name in metadata}
    yield from misfits(read, _METADATA, ("metadata",))


def _unknown_kind(group: str, version: str, name: str) -> str:
    served = ", ".join(f"{kind.kind} ({kind.group}/{'|'.join(kind.versions)})" for kind in kinds.KINDS)
    given = f"{group}/{version}" if version else group or "no apiVersion"
    return f"unrecognized type {given}, Kind={name or 'none'}: this mesh serves {served}"


def _check_annotations(out: Findings, metadata: Json) -> None:
    annotations = metadata.get("annotations") or {}
    where = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
    if "istio.io/dry-run" in annotations:
        message = f"{where} has unsupported annotation istio.io/dry-run, please remove the annotation"
        out.error(("metadata", "annotations", "istio.io/dry-run"), "annotation", message)
    for name, words in _FORBIDDEN_ANNOTATIONS.items():
        if name in annotations:
            out.error(("metadata", "annotations", name), "annotation", f'"{name}" annotation found, {words}')


def _without_nulls(value: Any) -> Any:
    """A null field is an unset field; dropped once, so that no rule has to think of it."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
