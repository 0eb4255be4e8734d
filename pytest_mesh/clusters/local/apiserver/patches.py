"""JSON patch and merge patch. Pure. Strategic merge is ``strategic``, server-side apply ``applying``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import errors, jsontext, objects

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json


MAX_OPERATIONS = 10_000
"""Operations of one JSON patch, Kubernetes' own bound."""


def merge_patch(target: Any, patch: Any) -> Any:
    """Give ``target`` changed by an RFC 7396 merge patch."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(target: Json, patch: Any) -> Json:
    """Give ``target`` changed by an RFC 6902 patch; raises StatusError 400 (malformed) or 422 (does not apply)."""
    import jsonpatch

    if patch is None:
        return target
    if not isinstance(patch, list):
        what = jsontext.kind_of(patch)
        raise errors.bad_request(
            f"error decoding patch: json: cannot unmarshal {what} into Go value of type []handlers.jsonPatchOp"
        )
    if len(patch) > MAX_OPERATIONS:
        why = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(patch)}"
        raise errors.StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {why}")
    changed: Any = objects.copy(target)
    try:
        for operation in patch:
            changed = jsonpatch.apply_patch(changed, [_lenient(changed, operation)], in_place=True)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, AttributeError) as error:
        text = "the server rejected our request due to an error in our request"
        raise errors.StatusError(422, "Invalid", text, details={}) from error
    if not isinstance(changed, dict):
        raise errors.StatusError(
            422, "Invalid", "the server rejected our request due to an error in our request", details={}
        )
    return changed


def _lenient(target: Any, operation: Any) -> Any:
    """Give an operation as Kubernetes' library takes it: a value left out is null, a map's key may be replaced before it is there."""
    if isinstance(operation, dict) and operation.get("op") in ("add", "replace", "test") and "value" not in operation:
        operation = {**operation, "value": None}
    if isinstance(operation, dict) and operation.get("op") == "replace":
        *parents, last = str(operation.get("path", "")).split("/")[1:] or [""]
        holder = target
        for name in parents:
            holder = holder.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and last.replace("~1", "/").replace("~0", "~") not in holder:
            return {**operation, "op": "add"}
    return operation
