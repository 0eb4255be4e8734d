"""``pytest-mesh features``: every field, a table to read, and one line for what is no suite."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from mesh_conformance.catalogue import FEATURES
from pytest_mesh.report import features_command


@dataclass
class Feature:
    id: str
    profile: str = "MESH-XDS"
    level: str = "core"


@pytest.fixture
def listed(monkeypatch):
    def give(features, *arguments: str) -> str:
        monkeypatch.setattr(features_command, "catalogue", lambda _: features)
        result = CliRunner().invoke(features_command.command, list(arguments))
        assert result.exit_code == 0, result.output
        return result.output

    return give


def test_json_has_every_field(listed):
    (one,) = [one for one in FEATURES if one.id == "DRConnectionPool"]

    assert json.loads(listed([one], "-o", "json")) == [
        {
            "id": "DRConnectionPool",
            "profile": "ISTIO-ROUTING",
            "level": "core",
            "title": one.title,
            "rows": ["D10", "F9"],
            "link": one.link,
            "spec": "istio-1.32",
            "since": "0.1",
        }
    ]


def test_the_table_names_its_columns_and_leaves_empty_ones_out(listed):
    (one,) = [one for one in FEATURES if one.id == "DRConnectionPool"]
    assert listed([one]).splitlines() == [
        "ID                LEVEL  PROFILE        SPEC        SINCE  TITLE                                     ROWS",
        "DRConnectionPool  core   ISTIO-ROUTING  istio-1.32  0.1    pending requests over the limit overflow  D10, F9",
    ]
    assert listed([Feature("One")]).splitlines() == ["ID   LEVEL  PROFILE", "One  core   MESH-XDS"]


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ("no_such_suite", "no_such_suite: module or package not found: no_such_suite (missing __init__.py?)"),
        ("--help", "'--help' is no name of a package"),
        ("a_package", "a_package: registers no feature: it is no conformance suite"),
    ],
)
def test_what_is_no_suite_is_one_line_and_exit_code_4(tmp_path, monkeypatch, suite, said):
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    result = CliRunner().invoke(features_command.command, ["--suite", suite])

    assert (result.exit_code, result.output) == (4, f"Error: {said}\n")
