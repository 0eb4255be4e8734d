"""From ``kubectl apply`` to ``kubectl apply --server-side``: what the annotation of the first says to the second. Pure.

Only for the field manager ``kubectl``, as kube-apiserver has it; another manager opts out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from pytest_mesh.clusters.local.apiserver import fieldsets

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.fieldsets import Path
    from pytest_mesh.contracts import Json

ANNOTATION: Final = "kubectl.kubernetes.io/last-applied-configuration"
MANAGER: Final = "kubectl"


def excused(live: Json | None, manager: str, api_version: str, schema: Any) -> frozenset[Path]:
    """Give the fields that are no conflict: the last client-side apply set them, and they are as it set them."""
    text = _annotation(live) if manager == MANAGER else ""
    if live is None or not text:
        return frozenset()
    try:
        applied = orjson.loads(text)
    except ValueError:
        return frozenset()
    if not isinstance(applied, dict) or applied.get("apiVersion") != api_version:
        return frozenset()
    present = fieldsets.flatten(live, schema)
    return frozenset(
        path for path, value in fieldsets.flatten(applied, schema).items() if path in present and present[path] == value
    )


def follow(obj: Json, manager: str, config: Json) -> None:
    """Write the configuration that ``manager`` applied into the annotation, where the object has one, in place."""
    if manager != MANAGER or not _annotation(obj):
        return
    metadata = {**config["metadata"]}
    annotations = {name: value for name, value in metadata.pop("annotations", {}).items() if name != ANNOTATION}
    if annotations:
        metadata["annotations"] = annotations
    text = orjson.dumps({**config, "metadata": metadata}, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    obj["metadata"]["annotations"] = {**obj["metadata"]["annotations"], ANNOTATION: text.decode()}


def _annotation(obj: Json | None) -> str:
    return str(((obj or {}).get("metadata", {}).get("annotations") or {}).get(ANNOTATION) or "")
