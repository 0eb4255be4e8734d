"""Delegates (R19): a root's route that hands on to another VirtualService becomes that one's routes, each within the root's.

On plain documents, before they are read: what a delegate leaves out it has from the root's route.
"""

from __future__ import annotations

from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.oracle.names import resolve

INHERITED = (
    "rewrite", "timeout", "retries", "fault", "mirror", "mirrorPercent", "mirrorPercentage", "mirrors", "corsPolicy",
    "headers",
)  # fmt: skip
_STRINGS = ("uri", "scheme", "method", "authority")
_MAPS = ("headers", "withoutHeaders", "queryParams")
_ONES = ("uri", "scheme", "method", "authority", "port", "sourceNamespace", "gateways", "statPrefix")


def merged(root: Json, delegate: Json, *, namespace: str, domain: str) -> Json | None:
    """Give a delegate's route within its root's; None = it is dropped, for it matches what the root does not.

    ``namespace`` is the root's: its short hosts are resolved there.
    """
    out = dict(delegate)
    blocks = merged_blocks(root.get("match") or [], delegate.get("match") or [])
    if blocks is None:
        return None
    if blocks:
        out["match"] = blocks
    out["name"] = "-".join(filter(None, (root.get("name"), delegate.get("name"))))
    for name in INHERITED:
        if root.get(name) is not None and delegate.get(name) is None:
            out[name] = _resolved(root[name], namespace, domain) if name in {"mirror", "mirrors"} else root[name]
    return out


def merged_blocks(roots: list[Json], leaves: list[Json]) -> list[Json] | None:
    """Give match blocks that fulfil one of each list; None where some leaf is within no root."""
    if not roots or not leaves:
        return roots or leaves
    out = []
    for leaf in leaves:
        fitting = [merged_block(root, leaf) for root in roots if not conflict(root, leaf)]
        if not fitting:
            return None
        out += fitting
    return out


def merged_block(root: Json, leaf: Json) -> Json:
    """Give the leaf's conditions, and those of the root's that it says nothing of."""
    out = dict(leaf)
    out["name"] = "-".join(filter(None, (root.get("name"), leaf.get("name"))))
    for name in _ONES:
        if not out.get(name) and root.get(name):
            out[name] = root[name]
    for name in (*_MAPS, "sourceLabels"):
        both = {**(root.get(name) or {}), **(leaf.get(name) or {})}
        if both:
            out[name] = both
    return out


def conflict(root: Json, leaf: Json) -> bool:
    """Whether a leaf's block may match what its root's does not."""
    if any(_strings_conflict(root.get(name), leaf.get(name)) for name in _STRINGS):
        return True
    for name in _MAPS:
        ours = root.get(name) or {}
        if any(_strings_conflict(ours.get(key), value) for key, value in (leaf.get(name) or {}).items()):
            return True
    if bool(root.get("ignoreUriCase")) != bool(leaf.get("ignoreUriCase")):
        return True
    for name in ("port", "sourceNamespace"):
        if root.get(name) and leaf.get(name) and root[name] != leaf[name]:
            return True
    labels = root.get("sourceLabels") or {}
    if any(key in labels and labels[key] != value for key, value in (leaf.get("sourceLabels") or {}).items()):
        return True
    gateways = root.get("gateways") or []
    return bool(gateways) and not set(leaf.get("gateways") or []) <= set(gateways)


def _strings_conflict(root: Json | None, leaf: Json | None) -> bool:
    """Whether a leaf's string match goes beyond its root's. Regular expressions go with nothing."""
    if root is None or leaf is None:
        return False
    (root_kind, ours), (leaf_kind, theirs) = _kind(root), _kind(leaf)
    if "regex" in {root_kind, leaf_kind} and root_kind and leaf_kind:
        return True
    if root_kind == "exact":
        return leaf_kind != "exact" or theirs != ours
    if root_kind == "prefix":
        return leaf_kind not in {"exact", "prefix"} or not theirs.startswith(ours)
    return True


def _kind(match: Json) -> tuple[str, str]:
    return next(((kind, str(match[kind])) for kind in ("exact", "prefix", "regex") if match.get(kind)), ("", ""))


def _resolved(value: Any, namespace: str, domain: str) -> Any:
    """Resolve the hosts of inherited destinations."""
    if isinstance(value, list):
        return [_resolved(item, namespace, domain) for item in value]
    if not isinstance(value, dict):
        return value
    out = {key: _resolved(item, namespace, domain) for key, item in value.items()}
    if isinstance(out.get("host"), str):
        out["host"] = resolve(out["host"], namespace, domain)
    return out
