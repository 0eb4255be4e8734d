"""Entry points of installed packages: found by name, never run; a broken or doubtful one is one clear line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_mesh.implementations import registry
from pytest_mesh.implementations.choice import choose
from pytest_mesh.implementations.command import command

EXAMPLE = Path(__file__).parents[2] / "examples" / "acme-mesh"
LOUD = "raise SystemExit('the package was imported')"


def choosing(name, hooked=None):
    return choose(name, flag="--mesh-implementation", hooked=hooked or {}, directory=Path.cwd())


def test_a_file_is_found_by_name_and_nothing_of_its_package_runs(installed):
    place = installed("acme", {"acme": "acme_pkg"}, {"acme_pkg/__init__.py": LOUD, "acme_pkg/acme.toml": ""})

    assert choosing("acme") == place / "acme_pkg" / "acme.toml"
    assert registry.names() == ["acme", "istio", "none", "reference"]


@pytest.mark.parametrize(
    ("value", "files", "line"),
    [
        ("acme_nowhere", {}, "entry point 'acme' of acme 1.0: there is no package 'acme_nowhere'"),
        (
            "acme_pkg",
            {"acme_pkg.py": LOUD},
            "entry point 'acme' of acme 1.0: 'acme_pkg' is a module: name the package that holds acme.toml",
        ),
        (
            "acme_pkg",
            {"acme_pkg/__init__.py": LOUD},
            "entry point 'acme' of acme 1.0: package 'acme_pkg' holds no acme.toml (looked in ",
        ),
        (
            "broken_pkg.below",
            {"broken_pkg/__init__.py": "raise ValueError('boom')"},
            "entry point 'acme' of acme 1.0: package 'broken_pkg.below' cannot be found: ValueError: boom",
        ),
    ],
)
def test_a_broken_entry_point_is_one_line(installed, value, files, line):
    installed("acme", {"acme": value}, files)

    with pytest.raises(pytest.UsageError) as caught:
        choosing("acme")

    assert str(caught.value).startswith(f"--mesh-implementation: {line}")
    assert "\n" not in str(caught.value)
    assert "acme" not in registry.names()


def test_two_packages_with_one_name_are_a_line_that_names_both(installed):
    for name in ("acme", "other"):
        installed(name, {"acme": f"{name}_pkg"}, {f"{name}_pkg/__init__.py": "", f"{name}_pkg/acme.toml": ""})

    with pytest.raises(pytest.UsageError, match=r"of acme 1\.0: other 1\.0 gives the same name: uninstall one of them"):
        choosing("acme")


def test_a_shipped_name_stays_the_shipped_one(installed):
    installed("evil", {"reference": "other_pkg"}, {"other_pkg/__init__.py": "", "other_pkg/reference.toml": ""})

    assert choosing("reference").parent.name == "implementations"
    (taken,) = [one for one in registry.offers() if one.problem]
    assert taken.problem == "entry point 'reference' of evil 1.0: the name is taken by pytest-mesh itself"


def test_what_the_runs_own_conftest_gives_goes_first(installed):
    assert choosing("reference", {"reference": Path("mine.toml")}) == Path("mine.toml")


def test_the_example_package_is_installed_and_found_by_name_and_its_file_is_sound(tmp_path, monkeypatch):
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-cache-dir", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(tmp_path), str(EXAMPLE)], check=True, timeout=60)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    listed, checked = (CliRunner().invoke(command, arguments) for arguments in (["list"], ["check", "acme"]))

    assert f"acme       acme-mesh 2.1.0  {tmp_path}/acme_mesh/acme.toml\n" in listed.output
    assert (listed.exit_code, checked.exit_code) == (0, 0)
    assert checked.output == "acme_mesh/acme.toml: nothing is wrong\n"
