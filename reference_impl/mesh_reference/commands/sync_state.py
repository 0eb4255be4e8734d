"""Which sidecars are in step with the control plane, and how one differs: rows and comparisons. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from mesh_reference.commands.dump import Dump

Json = Mapping[str, Any]
Row = tuple[str, ...]

COLUMNS = ("NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES")
WIDE_COLUMNS = ("NAME", "CDS", "LDS", "EDS", "RDS", "ISTIOD", "REJECTED")
_TYPES = (("cluster", "CDS"), ("listener", "LDS"), ("endpoint", "EDS"), ("route", "RDS"))
_NAMES = ("name_table", "NDS")
"""Of agents that answer names."""


def rows(pages: Mapping[str, Iterable[Json]]) -> list[Row]:
    """One row for each connected sidecar; ``pages`` is /debug/syncz by control plane."""
    out = []
    for istiod, entries in pages.items():
        for entry in entries:
            types = [short for name, short in (*_TYPES, _NAMES) if f"{name}_sent" in entry]
            subscribed = f"{len(types)} ({','.join(types)})"
            version = str(entry.get("istio_version") or "-")
            out.append((str(entry["proxy"]), str(entry.get("cluster_id") or "-"), istiod, version, subscribed))
    return sorted(out)


def wide_rows(pages: Mapping[str, Iterable[Json]]) -> list[Row]:
    """One row for each connected sidecar with the state of each type: SYNCED, STALE, NOT SENT or REJECTED."""
    out = []
    for istiod, entries in pages.items():
        for entry in entries:
            rejections = entry.get("rejections") or {}
            states = [_state(entry, name, short.lower() in rejections) for name, short in _TYPES]
            reasons = "; ".join(f"{kind}: {item.get('message', '')}" for kind, item in sorted(rejections.items()))
            out.append((str(entry["proxy"]), *states, istiod, reasons or "-"))
    return sorted(out)


def _state(entry: Json, name: str, rejected: bool) -> str:
    if rejected:
        return "REJECTED"
    if not entry.get(f"{name}_sent"):
        return "NOT SENT"
    return "SYNCED" if entry.get(f"{name}_acked") == entry.get(f"{name}_sent") else "STALE"


def is_stale(pages: Mapping[str, Iterable[Json]]) -> bool:
    """Whether any sidecar refused or has not acknowledged what it was sent."""
    return any(word in {"STALE", "REJECTED"} for row in wide_rows(pages) for word in row[1:5])


def compare(wanted: Dump, running: Dump) -> str:
    """``Clusters Match`` and so on, or a unified diff where the sidecar holds something else."""
    out = []
    for title, part in (("Clusters", "clusters"), ("Listeners", "listeners"), ("Routes", "routes")):
        have = {str(item.get("name")): item for item in getattr(running, part)}
        want = {str(item.get("name")): item for item in getattr(wanted, part)}
        # Envoy holds more than it is sent: the bootstrap's clusters and inline routes.
        both = sorted(want.keys() & have.keys())
        before, after = (_lines([found[name] for name in both]) for found in (want, have))
        missing = sorted(want.keys() - have.keys())
        lines = list(difflib.unified_diff(before, after, f"istiod {title}", f"Envoy {title}", lineterm=""))
        lines += [f"- {name} is not in Envoy" for name in missing]
        out.append("\n".join(lines) if lines else f"{title} Match")
    return "\n".join(out) + "\n"


def _lines(items: list[Any]) -> list[str]:
    return json.dumps([_in_one_spelling(_comparable(item)) for item in items], indent=1, sort_keys=True).splitlines()


def _in_one_spelling(value: Any) -> Any:
    """Whole numbers of floating point are 1 to Envoy and 1.0 to protobuf's own JSON."""
    if isinstance(value, dict):
        return {name: _in_one_spelling(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_in_one_spelling(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _comparable(item: Json) -> Json:
    """A route configuration whose hosts came one by one says so, and holds them in an order of its own."""
    if "virtual_hosts" not in item:
        return item
    hosts = sorted(item["virtual_hosts"], key=lambda host: str(host.get("name")))
    return {**{name: value for name, value in item.items() if name != "vhds"}, "virtual_hosts": hosts}
