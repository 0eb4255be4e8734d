"""The epoch marker: a response header on every route of a suite's VirtualService, and requests that must meet it. Pure.

An answer with the marker proves that the answering client's proxy routes this
host by this very document. One host proves nothing about another, so each host
has its own probe.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mesh.contracts import Json, Request

EPOCH_HEADER = "x-mesh-epoch"


def is_virtual_service(document: Json) -> bool:
    """Whether a document is a VirtualService."""
    return document.get("kind") == "VirtualService" and str(document.get("apiVersion", "")).startswith(
        "networking.istio.io/"
    )


def mark(document: Json, epoch: str) -> Json:
    """Give a copy of a VirtualService whose every HTTP route sets the marker on its responses."""
    marked = copy.deepcopy(document)
    for route in marked.get("spec", {}).get("http") or ():
        if isinstance(route, dict):
            headers = route.setdefault("headers", {})
            headers.setdefault("response", {}).setdefault("set", {})[EPOCH_HEADER] = epoch
    return marked


def probes(document: Json) -> list[Request]:
    """Give one request per host that some route of the document must answer; fewer where none can be made up."""
    spec = document.get("spec") or {}
    if "mesh" not in (spec.get("gateways") or ["mesh"]):
        return []
    shape = next(_shapes(spec.get("http") or ()), None)
    if shape is None:
        return []
    method, path, headers = shape
    return [
        Request(url=f"http://{host}{path}", method=method, headers=headers, timeout=2.0)
        for host in spec.get("hosts") or ()
        if isinstance(host, str) and "*" not in host
    ]


def _shapes(routes: Any) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """Give requests that a route matches: those for a route without conditions first."""
    blocks = [block for route in routes for block in (route.get("match") or [{}])]
    for block in sorted(blocks, key=len):
        shape = _shape(block)
        if shape is not None:
            yield shape


def _shape(block: Mapping[str, Any]) -> tuple[str, str, tuple[tuple[str, str], ...]] | None:
    method, path = "GET", "/"
    headers: list[tuple[str, str]] = []
    for field, condition in block.items():
        if field == "name":
            continue
        if field == "headers":
            for name, wanted in condition.items():
                value = _example(wanted) if wanted else "epoch"
                if value is None or name.startswith(":"):
                    return None
                headers.append((name, value))
            continue
        value = _example(condition) if field in {"uri", "method"} else None
        if value is None:
            return None
        if field == "uri":
            path = value
        else:
            method = value
    return method, path, tuple(headers)


def _example(condition: Any) -> str | None:
    """Give a string that a string match takes; None for a regular expression."""
    if not isinstance(condition, dict):
        return None
    value = condition.get("exact") or condition.get("prefix")
    return str(value) if value else None
