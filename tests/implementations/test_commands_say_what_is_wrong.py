"""``pytest-mesh implementation``: its exit codes, and its findings as text and as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pytest_mesh.implementations.command import command

SOUND = 'format = 1\n[implementation]\nname = "acme"\n[install]\nalready_there = true\n'


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))

    def calling(*arguments, text=None):
        if text is not None:
            Path("acme.toml").write_text(text)
        return CliRunner().invoke(command, arguments)

    return calling


@pytest.mark.parametrize(
    ("arguments", "text", "code", "line"),
    [
        (["check", "acme.toml"], SOUND, 0, "acme.toml: nothing is wrong"),
        (
            ["check", "acme.toml"],
            SOUND + "redy = []\n",
            1,
            "acme.toml:6: install.redy: is not known here; did you mean 'ready'?",
        ),
        (["check", "acme.toml"], "a = ", 2, "Error: acme.toml:1: not TOML: Invalid value"),
        (["check", "other.toml"], None, 2, "Error: other.toml: No such file or directory"),
        (["check", "referenc"], None, 2, "Error: implementation: unknown 'referenc'; choose from: "),
        (["check", "acme.toml", "--cluster"], SOUND, 2, "Error: the cluster cannot be looked at: kubeconfig"),
        (["check", "acme.toml", "--context=x"], SOUND, 2, "Error: --kubeconfig and --context are for --cluster"),
        (["show", "acme.toml"], SOUND.replace("name", "nme"), 1, "acme.toml:2: implementation.name: is required"),
        (["list"], None, 0, "reference  pytest-mesh  "),
    ],
)
def test_exit_codes(call, arguments, text, code, line):
    done = call(*arguments, text=text)

    assert done.exit_code == code, done.output
    assert any(one.startswith(line) for one in done.output.splitlines()), done.output


@pytest.mark.parametrize(("output", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_findings_as_data(call, output, read):
    done = call("check", "acme.toml", "-o", output, text=SOUND.replace('"acme"', "7"))

    assert read(done.stdout) == {
        "file": "acme.toml",
        "findings": [
            {
                "file": "acme.toml",
                "line": 3,
                "key": "implementation.name",
                "rule": "must be a string that is not empty, not 7",
                "about": "file",
            }
        ],
        "notLookedAt": [],
    }


def test_findings_of_the_file_and_of_the_machine_come_together(call):
    done = call("check", "acme.toml", text=SOUND + '[injection]\nkube_inject_command = ["nowhere-inject"]\n')

    assert done.stdout.splitlines() == [
        "acme.toml:7: injection.kube_inject_command: needs proxy_container beside it",
        "acme.toml:7: injection.kube_inject_command[0]: program 'nowhere-inject' is not on PATH",
    ]


def test_show_fills_in_what_stands_in_braces(call, tmp_path):
    text = SOUND.replace("already_there = true", 'manifests = ["{dir}/mesh.yaml"]')

    shown = yaml.safe_load(call("show", "acme.toml", text=text).stdout)

    assert shown["manifests"] == [f"{tmp_path}/mesh.yaml"]
    assert "lines" not in shown
    assert "root_secret" not in shown


def test_the_list_as_data_names_file_and_origin(call):
    rows = json.loads(call("list", "-o", "json").stdout)

    assert [(one["name"], one["origin"]) for one in rows] == [
        ("istio", "pytest-mesh"),
        ("none", "pytest-mesh"),
        ("reference", "pytest-mesh"),
    ]
    assert all(Path(one["path"]).is_file() for one in rows)
