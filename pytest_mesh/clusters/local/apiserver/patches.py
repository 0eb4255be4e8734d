"""JSON patch and merge patch. Pure. Strategic merge is ``strategic``, server-side apply ``applying``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import errors, objects

if TYPE_CHECKING:
    from pytest_mesh.contracts import Json


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

    if not isinstance(patch, list):
        raise errors.bad_request("error decoding patch: a JSON patch is an array of operations")
    try:
        changed: Json = jsonpatch.apply_patch(objects.copy(target), patch)
    except jsonpatch.InvalidJsonPatch as error:
        raise errors.bad_request(f"error decoding patch: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise errors.StatusError(
            422,
            "Invalid",
            f"the server rejected our request due to an error in our request: the JSON patch does not apply: {error}",
            details={},
        ) from error
    return changed
