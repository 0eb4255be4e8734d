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

if TYPE_CHECKING:
    from typing import Any

    from pytest_mesh.clusters.local.apiserver.requests import Target, WriteOptions
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

POSTED = ("token", "binding", "eviction")
SPEC_REPLICAS, STATUS_REPLICAS = ".spec.replicas", ".status.replicas"


def _object(server: Server, target: Target) -> Json:
    info = target.info
    found = server.store.get(info.key, target.namespace, target.name)
    if found is None:
        raise errors.not_found(info.plural, info.group, target.name)
    return conversion.served(found, info)


async def post(server: Server, target: Target, body: Json, options: WriteOptions) -> tuple[Json, list[str]]:
    """Serve ``token``, ``binding`` and ``eviction``."""
    if target.subresource == "token":
        return server.authenticator.request(target.namespace, target.name, body), []
    pod = _object(server, target)
    plain = replace(target, subresource="")
    if target.subresource == "eviction":
        status, warnings = await deleting.delete(server, plain, body.get("deleteOptions") or {}, options)
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
        return (status if options.dry_run else done), warnings
    node = (body.get("target") or {}).get("name", "")
    if not node:
        raise errors.bad_request("target.name: a binding names a node")
    bound = pod.get("spec", {}).get("nodeName")
    if bound:
        raise errors.conflict(
            "pods/binding", "", target.name, f"pod {target.name} is already assigned to node {bound!r}"
        )
    await writing.patch(server, plain, {"spec": {"nodeName": node}}, requests.MERGE_PATCH, options)
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
        status["selector"] = "".join(jsonpaths.find(obj, paths["labelSelectorPath"])[:1])
    else:
        labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        status["selector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": wanted[0] if wanted else 0},
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
    replicas = (after.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        cause = errors.Cause(
            field="spec.replicas", message=f"Invalid value: {replicas}: must be greater than or equal to 0"
        )
        raise errors.invalid("Scale", "autoscaling", target.name, [cause])
    change: Any = replicas
    for step in reversed(target.info.scale.get("specReplicasPath", SPEC_REPLICAS).strip(".").split(".")):
        change = {step: change}
    plain = replace(target, subresource="")
    written = await writing.patch(server, plain, change, requests.MERGE_PATCH, options)
    return _scale_of(target, written.obj), written.warnings
