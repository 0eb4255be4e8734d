"""Makes the suite known to the plugin: its catalogue of features, and the epoch's marker on its own routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mesh_conformance.catalogue import FEATURES, Feature

if TYPE_CHECKING:
    from pytest_mesh.settings import MeshSettings


def pytest_configure(config: pytest.Config) -> None:
    """Make pytest-timeout's marker known where that plugin is not installed."""
    config.addinivalue_line("markers", "timeout(seconds): pytest-timeout's budget of a test, where it is installed")


def pytest_mesh_features(config: pytest.Config) -> Sequence[Feature]:
    """Give the catalogue."""
    del config
    return FEATURES


@pytest.fixture(scope="session")
def mesh_settings(mesh_settings: MeshSettings) -> MeshSettings:
    """The suite's documents are its own, so their routes carry the epoch's marker."""
    return replace(mesh_settings, mark_routes=True)
