"""ProxyConfig: the mesh's default, the pod's annotation over it, and what goes into PROXY_CONFIG.

Only the fields on which this mesh acts are known; any other one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mesh_reference import documents
from mesh_reference.errors import MeshError
from mesh_reference.model.schema.shape import misfits
from mesh_reference.model.schema.types import DURATION, FLAG, INT32, LABELS, TEXT, Choice, Message

Json = dict[str, Any]

PROXY_CONFIG = Message(
    name="ProxyConfig",
    fields={
        "discoveryAddress": TEXT,
        "drainDuration": DURATION,
        "terminationDrainDuration": DURATION,
        "proxyAdminPort": INT32,
        "statusPort": INT32,
        "concurrency": INT32,
        "interceptionMode": Choice(names=("REDIRECT", "TPROXY", "NONE")),
        "proxyMetadata": LABELS,
        "holdApplicationUntilProxyStarts": FLAG,
        "meshId": TEXT,
    },
)
_DEFAULTS: Json = {
    "drainDuration": "45s",
    "terminationDrainDuration": "5s",
    "proxyAdminPort": 15000,
    "statusPort": 15020,
    "discoveryAddress": "istiod.istio-system.svc:15012",
    "interceptionMode": "REDIRECT",
    "proxyMetadata": {},
}
"""What is not written into PROXY_CONFIG, because the agent assumes it."""


class ProxyConfigError(MeshError):
    """A ProxyConfig that is no YAML, or that has a field or value this mesh does not know."""


def parse_proxy_config(text: str) -> Json:
    """The YAML of the annotation proxy.istio.io/config; raises `ProxyConfigError`."""
    try:
        found = documents.load_all(text, PROXY_CONFIG.name)
    except documents.DocumentError as problem:
        raise ProxyConfigError(f"not YAML: {problem}") from problem
    if not found:
        return {}
    return check_proxy_config(found[0].value)


def check_proxy_config(value: Any) -> Json:
    """The value itself when every field is known and of its type; raises `ProxyConfigError`."""
    problems = [f"{documents.render(misfit.path)}: {misfit.message}" for misfit in misfits(value, PROXY_CONFIG, ())]
    if problems:
        raise ProxyConfigError("; ".join(problem.removeprefix(": ") for problem in problems))
    result: Json = {name: item for name, item in value.items() if item is not None}
    for name in ("statusPort", "proxyAdminPort"):
        if name in result and not 1 <= result[name] <= 65535:
            raise ProxyConfigError(f"{name}: port number {result[name]} must be in the range 1..65535")
    if result.get("concurrency", 0) < 0:
        raise ProxyConfigError(f"concurrency: {result['concurrency']} must not be negative")
    return result


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """``over`` wins field by field; ``proxyMetadata`` is merged key by key."""
    metadata = {**(base.get("proxyMetadata") or {}), **(over.get("proxyMetadata") or {})}
    merged = {**base, **over}
    if metadata:
        merged["proxyMetadata"] = metadata
    return merged


def render(config: Mapping[str, Any]) -> str:
    """The JSON of the environment variable PROXY_CONFIG, defaults left out."""
    kept = {name: value for name, value in sorted(config.items()) if _DEFAULTS.get(name) != value}
    return json.dumps(kept, separators=(",", ":"))
