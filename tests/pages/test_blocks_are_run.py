"""Every block of the pages is run by a test; those that need no cluster are run here."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import claims  # noqa: E402
from claims import ROOT, Block, blocks_of, every_block, target_of, unclaimed  # noqa: E402
from walking import Reader, Step, plain, steps, unlike  # noqa: E402

from mesh_conformance import catalogue  # noqa: E402
from pytest_mesh import documents, implementations  # noqa: E402
from pytest_mesh.cli import main  # noqa: E402
from pytest_mesh.contracts import Evidence  # noqa: E402
from pytest_mesh.implementations import loader  # noqa: E402
from pytest_mesh.namespace import MeshNamespace  # noqa: E402
from pytest_mesh.report import model, table  # noqa: E402
from pytest_mesh.traffic.client import Client  # noqa: E402

MAKEFILE = (ROOT / "Makefile").read_text()
ME = "tests/pages/test_blocks_are_run.py"
JUDGE = "docs/judge-your-own-mesh.md"
HANDED = {"mesh_namespace": MeshNamespace, "client": Client}
"""What a page's code is handed by fixtures."""


def mine(page: str, language: str) -> list[Block]:
    """Give the blocks of a page that are claimed for this module."""
    return [
        one
        for one in every_block()
        if (one.page, one.language) == (page, language) and [claims.CLAIMS[key] for key in one.claims] == [ME]
    ]


def test_every_block_is_run_by_a_test_or_says_why_not():
    assert unclaimed(every_block()) == []


def test_every_claim_speaks_of_a_block():
    used = {key for block in every_block() for key in block.claims}

    assert set(claims.CLAIMS) - used == set()


@pytest.mark.parametrize("runner", sorted(set(claims.CLAIMS.values()) - {".ci/run"}))
def test_what_runs_a_block_is_run_by_a_make_target_and_knows_its_page(runner):
    text = (ROOT / runner).read_text()
    pages = {page for (page, _, _), by in claims.CLAIMS.items() if by == runner}

    assert target_of(runner, MAKEFILE)
    assert [page for page in pages if not knows(page, runner, text)] == []


def test_the_two_commands_of_the_readme_are_steps_of_the_gate():
    found = [
        step for one in every_block() if [claims.CLAIMS[key] for key in one.claims] == [".ci/run"]
        for step in steps(f"```console\n{one.body}```")
    ]  # fmt: skip
    gate = (ROOT / ".ci" / "run").read_text()

    assert len(found) == 2
    assert [one for one in found if f"\nstep {one.command.partition('#')[0].strip()}" not in gate] == []


def knows(page: str, runner: str, text: str) -> bool:
    """Whether a runner reads the page, or has each line of its claimed blocks in its own text."""
    # One module takes the lines of every page of docs/, this one the code of every page.
    every = {claims.OPTIONS: 'glob("*.md")', ME: 'for page in claims.PAGES for one in mine(page, "python")'}
    if Path(page).name in text or (runner in every and every[runner] in text):
        return True
    own = [one for one in every_block() if one.page == page and [claims.CLAIMS[key] for key in one.claims] == [runner]]
    return all(line in text for one in own for line in one.body.splitlines())


def test_a_block_without_a_test_is_found():
    page = "docs/start.md"
    text = "<!-- not run here: needs macOS -->\n```console\n$ brew\n```\n\n~~~sh\nls\n~~~\n\n```console\n$ ls\n```\n"
    marked, shell, claimed = blocks_of(page, text)

    assert (marked.reason, shell.reason, claimed.reason) == ("needs macOS", "", "")
    assert unclaimed([claimed]) == []
    assert ["no test" in one for one in unclaimed([shell])] == [True]
    assert ["marked" in one for one in unclaimed([marked])] == [True]
    assert target_of("tests/pages/live_start.py", MAKEFILE) == "pages"
    assert target_of("tests/pages/alive.py", MAKEFILE) == ""


def test_every_make_target_that_a_page_names_is_there():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = {
        (page, word)
        for page in claims.PAGES
        for word in re.findall(r"(?:`|^\$ )make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE)
    }

    assert len(named) > 20
    assert [one for one in named if one[1] not in targets] == []


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Give what does a page's command in an empty folder: the program in this process, as a start of it costs a second."""
    monkeypatch.chdir(tmp_path)

    def do(command: str) -> tuple[int, str]:
        if not command.startswith("pytest-mesh "):
            return Reader(tmp_path, {"PATH": os.environ["PATH"]}).do(command)
        result = CliRunner().invoke(main, shlex.split(command)[1:], prog_name="pytest-mesh")
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output

    return do


def steps_of(page: str) -> list[Step]:
    return [step for one in mine(page, "console") for step in steps(f"```console\n{one.body}```")]


def test_a_description_is_checked_as_the_page_shows(run, tmp_path):
    (body,) = re.findall(r"```toml\n(format = 1\n.*?)```", (ROOT / JUDGE).read_text(), re.DOTALL)
    (tmp_path / "acme.toml").write_text(body)
    found = steps_of(JUDGE)

    assert len(found) == 3
    for step in found:
        code, said = run(step.command)
        # The figures are the page's own here, so each line counts as it stands.
        assert tuple(said.splitlines()) == step.shown
        assert code == (1 if "wrong.toml:" in said else 0)


def test_reports_are_read_again_as_the_page_shows(run, tmp_path):
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    found = steps_of("docs/report.md")

    assert len(found) > 3
    for step in found:
        code, said = run(step.command)
        assert unlike(step.shown, said) == [], f"{step.command}:\n{said}"
        assert code == (1 if " diff " in step.command else 0)


def recorded(name: str) -> dict:
    """Give the report of a run that the pages show (``make shown-runs``)."""
    return documents.load((ROOT / "docs" / "pictures" / f"{name}.yaml").read_text(), source=name)


def test_the_readmes_verdict_is_the_recorded_runs():
    (block,) = [one for one in mine("README.md", "console") if one.body.startswith("mesh: ")]
    evidence = [
        Evidence(
            check=one["id"],
            feature=one["feature"],
            outcome=one["verdict"],
            seconds=one["seconds"],
            facts=one["evidence"],
            message=one.get("message", ""),
        )
        for one in recorded("passing")["tests"]
    ]
    mesh = loader.load(Path(implementations.__file__).with_name("reference.toml"))
    said = [text for text, _ in table.lines(evidence, catalogue.FEATURES, mesh)]
    said.append(table.totals(evidence, model.spent(one.facts for one in evidence)))
    # What stands around the table is what docs/start.md shows too, where it is walked.
    started = [line for line in block.body.splitlines() if line.startswith("mesh: ") and "report" not in line]
    shown = [line for line in block.body.splitlines() if line[:1] not in "=." and not line.startswith("mesh: ")]

    assert len(shown) > 8
    assert unlike(tuple(shown), "\n".join(said)) == []
    walked = {plain(line) for line in (ROOT / "docs" / "start.md").read_text().splitlines()}
    assert [line for line in started if plain(line) not in walked] == []


@pytest.mark.parametrize("page", ["README.md", JUDGE])
def test_a_page_gives_no_number_of_checks_or_features_that_grows_with_the_suite(page):
    printed = "\n".join(block.body for block in every_block() if (block.page, block.language) == (page, "console"))

    assert "checks: ... passed" in printed
    assert re.findall(r"^(?:[A-Z-]+: )?\d+ (?:of \d+ features|checks: \d\d+ passed)", printed, re.MULTILINE) == []
    assert not re.search(r"\d+ checks", (ROOT / page).read_text().replace(printed, "").partition("```")[0])


def test_the_readmes_failure_is_the_recorded_runs():
    (block,) = [one for one in mine("README.md", "console") if one.body.startswith("E ")]
    (failed,) = recorded("failing")["tests"]

    assert block.body.split(": ", 1)[1].strip() == failed["message"].splitlines()[0]


@pytest.mark.parametrize("block", [one for page in claims.PAGES for one in mine(page, "python")], ids=str)
def test_code_calls_what_there_is_with_what_it_takes(block):
    for node in ast.walk(ast.parse(block.body)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = HANDED.get(getattr(node.func.value, "id", ""))
            if owner is not None:
                member = getattr(owner, node.func.attr)
                inspect.signature(member).bind(owner, *node.args, **{one.arg: one.value for one in node.keywords})
        if isinstance(node, ast.ImportFrom):
            module = __import__(node.module, fromlist=["_"])
            assert [one.name for one in node.names if not hasattr(module, one.name)] == []


def test_the_oracles_page_gives_what_it_says():
    (block,) = mine("docs/oracle.md", "python")
    manifests = ROOT / "examples" / "offline" / "manifests"
    text = "---\n".join(path.read_text() for path in sorted(manifests.glob("*.yaml")))
    names = {"text": text, "print": lambda said: said}

    exec(compile(block.body, block.page, "exec"), names)

    assert names["prediction"].shares == {"v1": Fraction(4, 5), "v2": Fraction(1, 5)}
    assert str(names["prediction"].shares).replace("'", '"') in block.body
