"""A proxy's configuration as text that can be compared: resource by resource, without times, versions and secrets. Pure.

What the control plane did not send (the bootstrap) and what nobody may read (the
section of secrets) is left out.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mesh.contracts import Json

_LEFT_OUT = ("BootstrapConfigDump", "SecretsConfigDump")
_VOLATILE = frozenset({"last_updated", "version_info", "client_status"})
_UNORDERED = frozenset({"lb_endpoints", "endpoints"})
"""Lists in which the order says nothing."""
_CONTEXT = 4


def resources(dump: Json) -> dict[str, str]:
    """Give each resource of a config dump as JSON text, by what it is and its name (``Routes 80``)."""
    found: dict[str, str] = {}
    for section in dump.get("configs", ()):
        kind = str(section.get("@type", "")).rpartition(".")[2]
        if kind.endswith(_LEFT_OUT):
            continue
        for entry in _entries(section):
            text = json.dumps(_settled(entry), indent=1, sort_keys=True)
            name = f"{kind.removesuffix('ConfigDump')} {_name(entry)}".rstrip()
            # Static and dynamic resources may share a name; their texts stand one after the other.
            found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def difference(before: Json, after: Json) -> str:
    """Give a unified diff of two dumps of one proxy, a file header for each resource that differs; empty for none."""
    old, new = resources(before), resources(after)
    return "".join(_differences(old, new))


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        first, second = old.get(name), new.get(name)
        if first == second:
            continue
        lines = difflib.unified_diff(
            (first or "").splitlines(),
            (second or "").splitlines(),
            f"before/{name}" if first is not None else "/dev/null",
            f"after/{name}" if second is not None else "/dev/null",
            n=_CONTEXT,
            lineterm="",
        )
        yield from (f"{line}\n" for line in lines)


def _entries(section: Json) -> Iterator[Json]:
    for value in section.values():
        if isinstance(value, list):
            yield from (item for item in value if isinstance(item, dict))


def _name(entry: Json) -> str:
    """Give a resource's name: its own, or that of what it wraps (``{"cluster": {"name": ...}}``)."""
    for one in (entry, *(value for value in entry.values() if isinstance(value, dict))):
        for key in ("name", "cluster_name"):
            if isinstance(one.get(key), str):
                return str(one[key])
    return ""


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: sorted(_settled(item), key=json.dumps)
            if key in _UNORDERED and isinstance(item, list)
            else _settled(item)
            for key, item in value.items()
            if key not in _VOLATILE
        }
    return [_settled(item) for item in value] if isinstance(value, list) else value
