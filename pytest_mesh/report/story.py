"""What stands below a failure beside its own message: which promise is broken, by which rule, and how to see it again."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mesh.keys import RECORDS, check_name, feature_of
from pytest_mesh.options import ROWS
from pytest_mesh.report import explaining

if TYPE_CHECKING:
    from pytest_mesh.run import Run

_NOT_AGAIN = frozenset({"report", "report-html", "report-ndjson", "expected-failures", "shard", "waits"})
"""Options of the whole run that one check alone does without."""
_SOURCES = ({"flag", "env"}, {"flag", "env", "ini"})
"""Where an option came from that is told, and where the seed did, by which alone the same is generated again."""
_EXTENDED = "MESH_EXTENDED"
"""What a run of the nightly tier has set: some checks do more then, or run at all."""


def lines(item: pytest.Item, run: Run, bundle: str) -> list[str]:
    """Give the lines; the suite's own features say more than what ``hooks.FeatureData`` must have."""
    told = []
    feature = run.features.get(feature_of(item))
    if feature is not None:
        title = getattr(feature, "title", "")
        told.append(f"{feature.id} ({feature.profile}, {feature.level}){f': {title}' if title else ''}")
        rows, link = getattr(feature, "rows", ()), getattr(feature, "link", "")
        if link:
            told.append(f"rule {', '.join(rows)}: {link}" if rows else f"rule: {link}")
    for namespace in item.stash[RECORDS].namespaces:
        said = explaining.explain(namespace.standing, namespace.name, namespace.record.transcript, most=1)
        told += said.rstrip().splitlines()
    if bundle:
        told.append(f"evidence is saved in {bundle}")
    told.append(f"again, alone: {again(item, run)}")
    return told


def again(item: pytest.Item, run: Run) -> str:
    """Give the command that runs this check only, with the run's own options; what an ini file says, the next run reads again."""
    given = [
        row.flag if row.switch else f"{row.flag}={value}"
        for row in ROWS
        if run.options.sources[row.name] in _SOURCES[row.name == "seed"] and row.name not in _NOT_AGAIN
        for value in [getattr(run.options, row.name.replace("-", "_"))]
        if value or not row.switch
    ]
    if profile := run.config.getoption("hypothesis_profile", None):
        given.append(f"--hypothesis-profile={profile}")
    here = Path(run.config.invocation_params.dir)
    inside = item.nodeid.partition("::")[2]
    if item.path.is_relative_to(run.config.rootpath):
        target = [f"{os.path.relpath(item.path, here)}::{inside}"]
    else:
        module = check_name(item).partition("::")[0].removesuffix(".py").replace("/", ".")
        target = ["--pyargs", f"{module}::{inside}"]
    extended = os.environ.get(_EXTENDED)
    before = f"{_EXTENDED}={shlex.quote(extended)} " if extended else ""
    return f"{before}{shlex.join(['pytest', *target, *given])}"
