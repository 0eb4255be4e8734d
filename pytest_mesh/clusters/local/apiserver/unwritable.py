"""The refusals of patches whose outcome is no object of its kind, in Kubernetes' words. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors, objects

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.requests import Target
    from pytest_mesh.contracts import Json


def unpatchable(changed: Json, error: errors.StatusError) -> errors.StatusError:
    """Give what is said of a patch whose outcome no longer is an object of its kind."""
    if error.message.startswith("the name"):
        return error
    why = error.message.partition("cannot be handled as a ")[2].partition(": ")[2] or error.message
    cause = errors.Cause(field="patch", message=f"Invalid value: {objects.shown(objects.shown(changed))}: {why}")
    return errors.invalid("", "", "", [cause])


def untyped(info: ResourceInfo, target: Target, namespace: str, why: str) -> errors.StatusError:
    """Give the 500 of an applied configuration that the schema has no place for; ``namespace`` is what it says itself."""
    what = f"{namespace}/{target.name}; {info.group}/{info.version}, Kind={info.kind}"
    return errors.StatusError(500, "", f"failed to create typed patch object ({what}): {why}")
