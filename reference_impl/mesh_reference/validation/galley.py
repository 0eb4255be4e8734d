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
from mesh_reference.validation.authorization_policy import check_authorization_policy
from mesh_reference.validation.destination_rule import check_destination_rule
from mesh_reference.validation.findings import Finding, Findings
from mesh_reference.validation.gateway import check_gateway
from mesh_reference.validation.peer_authentication import check_peer_authentication
from mesh_reference.validation.request_authentication import check_request_authentication
from mesh_reference.validation.service_entry import check_service_entry
from mesh_reference.validation.sidecar import check_sidecar
from mesh_reference.validation.virtual_service import check_virtual_service
from mesh_reference.validation.workload_entry import check_workload_entry

Json = Mapping[str, Any]

_RULES: dict[str, Callable[[Findings, str, Json, Json], None]] = {
    "VirtualService": check_virtual_service,
    "DestinationRule": check_destination_rule,
    "PeerAuthentication": check_peer_authentication,
    "ServiceEntry": check_service_entry,
    "WorkloadEntry": check_workload_entry,
    "Sidecar": check_sidecar,
    "Gateway": check_gateway,
    "AuthorizationPolicy": check_authorization_policy,
    "RequestAuthentication": check_request_authentication,
}
_DRY_RUN = "istio.io/dry-run"
_BOOLEANS = frozenset({"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"})
INACTIVE = "inactive"
"""The rule id of the warning that a kind is checked and stored and nothing more."""
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
            out.error((field,), "unknown-field", f'unknown field "{field}" ({name} has no such field)')
    for misfit in _metadata_misfits(resource.get("metadata")):
        out.error(misfit.path, misfit.rule, misfit.message)
    spec = {} if resource.get("spec") is None else resource["spec"]
    for misfit in misfits(spec, kind.spec, ("spec",)):
        out.error(misfit.path, misfit.rule, misfit.message)
    if len(out):
        return list(out)
    metadata = _without_nulls(resource.get("metadata") or {})
    spec = _without_nulls(spec)
    _check_annotations(out, name, metadata, spec)
    own_namespace = str(metadata.get("namespace") or namespace or "default")
    _RULES[name](out, own_namespace, metadata, spec)
    if not kind.acted_on:
        out.warning(("kind",), INACTIVE, f"{name} is accepted and stored; this mesh does not act on it")
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


def _check_annotations(out: Findings, kind: str, metadata: Json, spec: Json) -> None:
    annotations = metadata.get("annotations") or {}
    where = f"{metadata.get('namespace') or ''}/{metadata.get('name') or ''}"
    if _DRY_RUN in annotations:
        message = _dry_run_problem(where, kind, spec, annotations[_DRY_RUN])
        if message:
            out.error(("metadata", "annotations", _DRY_RUN), "annotation", message)
    for name, words in _FORBIDDEN_ANNOTATIONS.items():
        if name in annotations:
            out.error(("metadata", "annotations", name), "annotation", f'"{name}" annotation found, {words}')


def _dry_run_problem(where: str, kind: str, spec: Json, value: str) -> str:
    if kind != "AuthorizationPolicy":
        return f"{where} has unsupported annotation {_DRY_RUN}, please remove the annotation"
    action = spec.get("action") or "ALLOW"
    if action not in {"ALLOW", "DENY"}:
        return f"the annotation {_DRY_RUN} currently only supports action ALLOW/DENY, found action {action} in {where}"
    return "" if value in _BOOLEANS else f"{where} has annotation {_DRY_RUN} with invalid value ({value})"


def _without_nulls(value: Any) -> Any:
    """A null field is an unset field; dropped once, so that no rule has to think of it."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
