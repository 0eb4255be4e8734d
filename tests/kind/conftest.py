"""Fixtures of the kind backend's tests: programs that only pretend, and a state directory of the test's own."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("fake_programs", Path(__file__).with_name("fake_programs.py"))
fake_programs = importlib.util.module_from_spec(_spec)
sys.modules["fake_programs"] = fake_programs
_spec.loader.exec_module(fake_programs)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", fake_programs.path_with(tmp_path / "bin"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("MESH_IMAGE_BASE", "base:1")
    return fake_programs.install(tmp_path / "bin")


@pytest.fixture
def lines():
    return []
