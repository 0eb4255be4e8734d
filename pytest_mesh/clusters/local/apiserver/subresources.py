"""Subresources that are no part of their object: scale, token, binding, eviction.

``status`` and ``finalize`` are forms of an update (``writing``); ``log``, ``exec`` and their like are streams.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import (
    conversion,
    deleting,
    errors,
    jsonpaths,
    objects,
    patches,
    requests,
    writing,
)
from pytest_mesh.clusters.local.apiserver.decoding import Decoder

if TYPE_CHECKING:
    from typing import Any

    from pytest_mesh.clusters.local.apiserver.requests import Target, WriteOptions
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

POSTED = ("token", "binding", "eviction")
SPEC_REPLICAS, STATUS_REPLICAS = ".spec.replicas", ".status.replicas"


TOKEN = ("TokenRequest", "authentication.k8s.io/v1", "io.k8s.api.authentication.v1.TokenRequest")
EVICTION = ("Eviction", "policy/v1", "io.k8s.api.policy.v1.Eviction")
BINDING = ("Binding", "v1", "io.k8s.api.core.v1.Binding")
SCALE = ("Scale", "autoscaling/v1", "io.k8s.api.autoscaling.v1.Scale")


def _checked(body: Json, wanted: tuple[str, str, str]) -> Json:
    """Give a body with its types checked; raises StatusError 400 for another kind or a wrong type."""
    kind, api_version, schema = wanted
    version = api_version.rpartition("/")[2]
    given, of = body.get("kind") or kind, body.get("apiVersion") or api_version
    if (given, of) != (kind, api_version):
        why = f'no kind "{given}" is registered for version "{of}" in scheme "pkg/runtime/scheme.go:110"'
        raise errors.bad_request(f'{given} in version "{version}" cannot be handled as a {kind}: {why}')
    return Decoder(kind, version).decode({**body, "kind": kind, "apiVersion": api_version}, {"$ref": schema})


def _object(server: Server, target: Target) -> Json:
    info = target.info
    found = server.store.get(info.key, target.namespace, target.name)
    if found is None:
        raise errors.not_found(info.plural, info.group, target.name)
    return conversion.served(found, info)


async def post(server: Server, target: Target, body: Json, options: WriteOptions) -> tuple[Json, list[str]]:
    """Serve ``token``, ``binding`` and ``eviction``."""
    kinds = {"token": TOKEN, "eviction": EVICTION, "binding": BINDING}
    body = _checked(body, kinds[target.subresource])
    if target.subresource == "token":
        return server.authenticator.request(target.namespace, target.name, body), []
    pod = _object(server, target)
    plain = replace(target, subresource="")
    if target.subresource == "eviction":
        if body["metadata"].get("name") != target.name:
            raise errors.bad_request("name in URL does not match name in Eviction object")
        asked = body.get("deleteOptions") or {}
        if faults := requests.dry_run_faults(asked.get("dryRun") or ()):
            raise errors.invalid("Eviction", "policy", target.name, faults)
        dry = replace(options, dry_run=options.dry_run or bool(asked.get("dryRun")))
        status, warnings = await deleting.delete(server, plain, asked, dry)
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return (status if options.dry_run else done), warnings
    kind, node = (body["target"].get(name, "") for name in ("kind", "name"))
    if kind not in ("", "Node"):
        raise errors.StatusError(
            500, "", f'target.kind: Unsupported value: "{kind}": supported values: "Node", "<empty>"'
        )
    if not node:
        raise errors.StatusError(500, "", "target.name: Required value")
    bound = pod.get("spec", {}).get("nodeName")
    if bound:
        raise errors.conflict(
            "pods/binding", "", target.name, f"pod {target.name} is already assigned to node {bound!r}"
        )
    if options.dry_run:
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, []
    server.store.put("pods", {**pod, "spec": {**pod["spec"], "nodeName": node}})
    status_target = replace(target, subresource="status")
    condition = {"type": "PodScheduled", "status": "True", "lastTransitionTime": objects.timestamp()}
    await writing.patch(
        server, status_target, {"status": {"conditions": [condition]}}, requests.STRATEGIC_PATCH, options
    )
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, []


def scale(server: Server, target: Target) -> Json:
    """Give the Scale of an object."""
    return _scale_of(target, _object(server, target))


def _scale_of(target: Target, obj: Json) -> Json:
    metadata = obj["metadata"]
    paths = target.info.scale
    wanted = jsonpaths.find(obj, paths.get("specReplicasPath", SPEC_REPLICAS))
    current = jsonpaths.find(obj, paths.get("statusReplicasPath", STATUS_REPLICAS))
    status: Json = {"replicas": current[0] if current else 0}
    if paths.get("labelSelectorPath"):
        selector = "".join(jsonpaths.find(obj, paths["labelSelectorPath"])[:1])
        if selector:
            status["selector"] = selector
    else:
        labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        status["selector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": wanted[0]} if wanted and wanted[0] else {},
        "status": status,
    }


async def change_scale(
    server: Server, target: Target, body: Any, content_type: str | None, options: WriteOptions
) -> tuple[Json, list[str]]:
    """Set an object's replicas by a Scale, or by a patch of one (``content_type`` is the patch's)."""
    before = scale(server, target)
    if content_type is None:
        after = body
    elif requests.media_type(content_type) == requests.JSON_PATCH:
        after = patches.json_patch(before, body)
    else:
        after = patches.merge_patch(before, body)
    version = (after.get("metadata") or {}).get("resourceVersion")
    if version and version != before["metadata"]["resourceVersion"]:
        raise errors.conflict(target.info.plural, target.info.group, target.name)
    after = _checked(after, SCALE)
    replicas = (after.get("spec") or {}).get("replicas", 0)
    if replicas < 0 and target.info.custom:
        path = target.info.scale.get("specReplicasPath", SPEC_REPLICAS)
        cause = errors.Cause(field=path, message=f"Invalid value: {replicas}: should be a non-negative integer")
        raise errors.invalid(target.info.kind, target.info.group, target.name, [cause])
    if replicas < 0:
        cause = errors.Cause(
            field="spec.replicas", message=f"Invalid value: {replicas}: must be greater than or equal to 0"
        )
        raise errors.invalid("Scale", "autoscaling", target.name, [cause])
    change: Any = replicas
    for step in reversed(target.info.scale.get("specReplicasPath", SPEC_REPLICAS).strip(".").split(".")):
        change = {step: change}
    written = await writing.patch(server, target, change, requests.MERGE_PATCH, options)
    return _scale_of(target, written.obj), written.warnings
