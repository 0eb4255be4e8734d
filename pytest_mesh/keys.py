"""Keys of pytest's stashes, and the plain state of one test behind them. Light: imported with the plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from pytest_mesh.record import Record

if TYPE_CHECKING:
    from pytest_mesh.contracts import Outcome
    from pytest_mesh.namespace import MeshNamespace
    from pytest_mesh.run import Run


@dataclass(slots=True)
class TestState:
    """What the plugin knows of one test while it runs."""

    __test__ = False

    record: Record = field(default_factory=Record)
    namespaces: list[MeshNamespace] = field(default_factory=list)
    outcome: Outcome | None = None
    message: str = ""
    bundle: str = ""
    seconds: float = 0.0


NOT_APPLICABLE = "not applicable: "
"""How a skip's reason begins that makes a check not applicable."""

RUN: pytest.StashKey[Run] = pytest.StashKey()
RECORDS: pytest.StashKey[TestState] = pytest.StashKey()


def feature_of(item: pytest.Item) -> str:
    """Give the feature that a test is a check of; empty when it is none."""
    marker = item.get_closest_marker("mesh_feature")
    return str(marker.args[0]) if marker is not None and marker.args else ""


FIXTURES = (
    "mesh",
    "mesh_cluster",
    "mesh_evidence",
    "mesh_namespace",
    "mesh_outside",
    "mesh_pair",
    "mesh_settings",
    "mesh_state",
)
"""Names of the plugin's fixtures."""


def is_mesh_test(item: pytest.Item) -> bool:
    """Whether a test is a check of a feature, or asks for a mesh."""
    return bool(feature_of(item)) or any(name in FIXTURES for name in getattr(item, "fixturenames", ()))


def check_name(item: pytest.Item) -> str:
    """Give a test's name for reports: from its top package on, so that it is the same wherever the suite lies."""
    path = item.path
    top = path.parent
    while (top / "__init__.py").exists():
        top = top.parent
    _, separator, inside = item.nodeid.partition("::")
    if top == path.parent:
        return item.nodeid
    return f"{path.relative_to(top).as_posix()}{separator}{inside}"
