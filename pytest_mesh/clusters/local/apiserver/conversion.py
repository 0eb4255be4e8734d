"""The forms in which one stored object is served: another version, another group's Event. Pure.

CRDs convert by strategy None: only ``apiVersion`` changes. The two Event APIs share their
objects, which are stored in the core form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

EVENTS = "events.k8s.io"

_RENAMED = {
    "involvedObject": "regarding",
    "message": "note",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "source": "deprecatedSource",
    "reportingComponent": "reportingController",
}
_RENAMED_BACK = {new: old for old, new in _RENAMED.items()}


def head(info: ResourceInfo) -> Json:
    """Give the two fields that say what an object is, which come first."""
    return {"kind": info.kind, "apiVersion": info.api_version}


def served(obj: Json, info: ResourceInfo) -> Json:
    """Give a stored object as ``info`` serves it; the object itself when nothing differs."""
    if obj.get("apiVersion") == info.api_version:
        return obj
    if info.group == EVENTS:
        obj = {_RENAMED.get(name, name): value for name, value in obj.items()}
    return {**obj, "apiVersion": info.api_version}


def stored(obj: Json, info: ResourceInfo) -> Json:
    """Give an object of the version ``info`` as it is stored."""
    if info.group != EVENTS:
        return obj
    renamed = {_RENAMED_BACK.get(name, name): value for name, value in obj.items()}
    return {**renamed, "apiVersion": "v1"}
