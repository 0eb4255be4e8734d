"""The pages: YAML parses, actions are pinned, every command line is one that the programs take."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from _pytest.config import _prepareconfig

from pytest_mesh import backends, cli, options
from pytest_mesh.implementations import SHIPPED, loader

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = tuple(sorted(path.name for path in DOCS.glob("*.md")))
SEPARATORS = {"|", ">", "&&", ";"}
FILES = ("kubeconfig", "kind-config", "expected-failures", "known-differences")
"""Options that name a file, which must be there."""
ELSEWHERE = ("...", "$CLONE")
"""Words of a line that stands for more than itself."""
EXAMPLE = ROOT / "examples" / "acme-mesh" / "src" / "acme_mesh" / "acme.toml"


def blocks(page: str, *languages: str) -> list[str]:
    text = (DOCS / page).read_text()
    return [
        body for language, body in re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL) if language in languages
    ]


def scripts(data) -> list[str]:
    """Give every script of a workflow, GitHub's or GitLab's."""
    if isinstance(data, dict):
        own = [data["run"]] if isinstance(data.get("run"), str) else []
        own += [one for one in data.get("script", []) if isinstance(one, str)]
        return own + [one for value in data.values() for one in scripts(value)]
    return [one for item in data for one in scripts(item)] if isinstance(data, list) else []


def lines_of(page: str) -> list[str]:
    found = [
        line
        for body in blocks(page, "yaml")
        for script in scripts(list(yaml.safe_load_all(body)))
        for line in script.splitlines()
    ]
    found += [line for body in blocks(page, "sh") for line in body.splitlines()]
    found += [
        line.removeprefix("$ ") for body in blocks(page, "console") for line in body.splitlines() if line[:2] == "$ "
    ]
    found += re.findall(r"`(pytest(?:-mesh)? [^`]+)`", (DOCS / page).read_text())
    return found


def commands(program: str) -> list[tuple[str, ...]]:
    """Give the arguments of every call of a program on the pages."""
    found = {}
    for page in PAGES:
        for line in lines_of(page):
            words = shlex.split(line, comments=True)
            if program in words and "pip" not in words and not set(words) & set(ELSEWHERE):
                own = itertools.takewhile(lambda word: word not in SEPARATORS, words[words.index(program) + 1 :])
                found[tuple(own)] = None
    return list(found)


@pytest.mark.parametrize("arguments", commands("pytest"), ids=" ".join)
def test_a_line_of_pytest_has_options_that_exist_and_values_that_can_be(arguments, monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("PYTEST_", "MESH_"))]:
        monkeypatch.delenv(name)
    if "NAME|FILE" in " ".join(arguments):
        arguments = tuple(one.replace("NAME|FILE", "acme") for one in arguments)
    # An option of this repository's own conftest; a test that is named must be there.
    arguments = tuple(one for one in arguments if one != "--update-goldens")
    assert all((ROOT / one).exists() for one in arguments if one.startswith("tests/"))
    if arguments[-1:] == ("-n",):  # named in a sentence, without its number
        arguments = (*arguments, "2")
    monkeypatch.chdir(tmp_path)
    for word in arguments:
        name, _, value = word.removeprefix("--mesh-").partition("=")
        if name in FILES:
            (tmp_path / value).write_text("")
    # pytest's own parser and every installed plugin's options; nothing is collected.
    config = _prepareconfig(["-c", os.devnull, "--rootdir", str(ROOT), *arguments])
    try:
        resolved = options.resolve(config, {})
    finally:
        config._ensure_unconfigure()

    assert resolved.cluster in backends.shipped()
    assert resolved.implementation in {*SHIPPED, "acme"} or re.fullmatch(r"[a-z]+\.toml", resolved.implementation)


@pytest.mark.parametrize("arguments", commands("pytest-mesh"), ids=" ".join)
def test_a_line_of_pytest_mesh_names_a_command_and_options_that_it_has(arguments):
    command, words = cli.main, list(arguments)
    with click.Context(command) as context:
        while isinstance(command, click.Group) and words:
            name = words.pop(0)
            found = command.get_command(context, name)
            assert found is not None, f"no command {name}"
            command = found
        known = {option for parameter in command.get_params(context) for option in parameter.opts}

    assert not (isinstance(command, click.Group) and words and not words[0].startswith("-"))
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known


@pytest.mark.parametrize("page", ["gating.md", "judge-your-own-mesh.md"])
def test_pip_gets_the_package_by_its_path(page):
    """On PyPI the name pytest-mesh is another project's."""
    installs = [line for line in lines_of(page) if "pip install" in line]

    assert installs
    assert not [line for line in installs if re.search(r"pytest-mesh\b", line)]


def test_actions_are_pinned_by_tag_and_jobs_have_the_least_privileges():
    github, gitlab = (yaml.safe_load(body) for body in blocks("gating.md", "yaml"))
    steps = [step for job in github["jobs"].values() for step in job["steps"]]
    uses = [step["uses"] for step in steps if "uses" in step]

    assert github["permissions"] == {"contents": "read"}
    assert uses
    assert all(re.fullmatch(r"[\w.-]+/[\w./-]+@v\d+(\.\d+)*", one) for one in uses)
    assert all("timeout-minutes" in job for job in github["jobs"].values())
    assert all(job.get("extends") == ".mesh" for name, job in gitlab.items() if name != ".mesh")


def test_every_job_saves_a_report_a_junit_file_and_the_evidence():
    for body in blocks("gating.md", "yaml"):
        for job in scripts(yaml.safe_load(body)):
            for line in job.splitlines():
                if "--pyargs mesh_conformance" in line:
                    assert "--mesh-report=out/report.yaml" in line
                    assert "--junitxml=out/junit.xml" in line


def test_the_file_of_the_page_is_the_one_of_the_example_package(tmp_path):
    (text,) = [body for body in blocks("judge-your-own-mesh.md", "toml") if body.startswith("format = 1")]
    (tmp_path / "acme.toml").write_text(text)

    page, example = (
        dataclasses.replace(loader.read(path, environ={}).implementation, source="", lines={})
        for path in (tmp_path / "acme.toml", EXAMPLE)
    )

    assert page == example


def test_no_message_sends_anybody_to_the_other_project_of_our_name():
    """On PyPI the name pytest-mesh is another project's: no installed code may say ``pip install pytest-mesh``."""
    sources = [
        path for room in ("pytest_mesh", "conformance", "reference_impl") for path in (ROOT / room).rglob("*.py")
    ]

    assert len(sources) > 100
    assert [path for path in sources if re.search(r"pip3? install[^\n]*pytest.mesh", path.read_text())] == []
