"""Taking an earlier injection back, so that a second one starts from the user's own pod.

``inject(inject(pod)) == inject(pod)`` holds because this is the inverse of
injection up to defaults: injected containers and volumes go, a user's overrides,
probes and metrics annotations come back. What was not injected is not touched.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from mesh_reference.injection import metrics, probes
from mesh_reference.injection.annotations import OVERRIDES, STATUS, AnnotationError
from mesh_reference.injection.frame import INIT, PROXY

Json = dict[str, Any]

PROBERS_ENV = "ISTIO_KUBE_APP_PROBERS"
_OURS = frozenset({INIT, PROXY})


def strip(pod: Json, status_ports: Collection[int]) -> None:
    """Undoes an earlier injection in place, Istio's too; a pod without its traces stays as it is.

    ``status_ports``: where it may have sent the metrics.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    annotations = metadata["annotations"]
    status = _parse(annotations.pop(STATUS)) if STATUS in annotations else None
    overrides = _overrides(annotations)
    if status is not None:
        environment = _proxy_environment(spec)
        for field in ("containers", "initContainers"):
            ours = _OURS & set(status.get(field) or ())
            spec[field] = [item for item in spec[field] if item["name"] not in ours]
        for field in ("volumes", "imagePullSecrets"):
            added = set(status.get(field) or ())
            spec[field] = [item for item in spec[field] if item["name"] not in added]
        originals = _parse(environment.get(PROBERS_ENV) or "{}") or {}
        probes.restore([*spec["initContainers"], *spec["containers"]], originals)
        metrics.restore(annotations, status_ports, environment.get(metrics.ENV))
    present = {item["name"] for item in (*spec["initContainers"], *spec["containers"])}
    for field in ("containers", "initContainers"):
        for container in overrides.get(field) or ():
            if container.get("name") in _OURS - present:
                spec[field].append(container)


def _proxy_environment(spec: Json) -> dict[str, str]:
    proxy: Json = next((item for item in (*spec["initContainers"], *spec["containers"]) if item["name"] == PROXY), {})
    return {entry["name"]: entry.get("value") or "" for entry in proxy.get("env") or ()}


def _overrides(annotations: dict[str, str]) -> Json:
    text = annotations.pop(OVERRIDES, None)
    if text is None:
        return {}
    found = _parse(text)
    if found is None:
        raise AnnotationError(f"annotation {OVERRIDES} is not a JSON object: remove it or mend it")
    return found


def _parse(text: str) -> Json | None:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
