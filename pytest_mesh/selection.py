"""Which collected tests a run is for: its kind, its shard; and expected failures that name no check. Starts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from pytest_mesh.keys import check_name, feature_of, is_mesh_test

if TYPE_CHECKING:
    from pytest_mesh.run import Run


def not_this_kind(run: Run, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Give the tests of the other kind: two meshes share a cluster for those that compare them, and for no other."""
    differential = bool(run.options.differential)
    return [
        item
        for item in items
        if is_mesh_test(item) and differential != (item.get_closest_marker("mesh_differential") is not None)
    ]


def other_shards(run: Run, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Give the tests of the other shards. A file is not divided: its tests share what was brought up for them.

    Files go, largest first, to the shard that has least; the same collection
    gives the same shards everywhere. Raises ``pytest.UsageError`` where there are
    more shards than files.
    """
    if not run.options.shard:
        return []
    number, total = (int(part) for part in run.options.shard.split("/"))
    sizes: dict[str, int] = {}
    for item in items:
        name = _file(item)
        sizes[name] = sizes.get(name, 0) + 1
    if len(sizes) < total:
        raise pytest.UsageError(
            f"{run.options.named('shard')}: {total} parts of {len(sizes)} files: a file is not divided, ask for fewer"
        )
    loads = [0] * total
    shard_of: dict[str, int] = {}
    for name in sorted(sizes, key=lambda one: (-sizes[one], one)):
        least = loads.index(min(loads))
        loads[least] += sizes[name]
        shard_of[name] = least
    return [item for item in items if shard_of[_file(item)] != number - 1]


def refuse_unknown_waivers(run: Run, items: Sequence[pytest.Item]) -> None:
    """Raise ``pytest.UsageError`` for an expected failure of a collected file that is none of its checks."""
    if not run.waivers:
        return
    from pytest_mesh.report.waivers import unknown

    lines = unknown(run.waivers, {check_name(item) for item in items if feature_of(item)})
    if lines:
        raise pytest.UsageError(*(f"{run.options.named('expected-failures')}: {line}" for line in lines))


def _file(item: pytest.Item) -> str:
    return check_name(item).partition("::")[0]
