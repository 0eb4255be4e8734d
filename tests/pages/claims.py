"""Which test runs which block of the pages: commands with what they print (``console``), recipes (``sh``) and code (``python``).

``console`` is run and compared. Recipes need clusters, registries or names of the reader's own: their options are held against
the programs, and nothing of them is run. Code is run where it can be without a mesh, and else held against the signatures.

A block that nothing here can run says so in the page, in a comment on the line before it: ``<!-- not run here: REASON -->``.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_DOCS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))
PAGES = (*_DOCS, "CONTRIBUTING.md", "README.md", "SECURITY.md")
LANGUAGES = ("console", "sh", "bash", "python")
_FENCE = re.compile(r"^([ >]*)(`{3,}|~{3,}|:{3,})[ ]*(\w*)[^\n]*\n(.*?)^\1\2[ ]*$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- not run here: (\S[^\n]*) -->\n*\Z")

PARSED = "tests/reference/commands/test_commands_page.py"
"""Makes the page; the recipes on it are the commands' own examples, which test_commands_explain_themselves.py parses."""
OPTIONS = "tests/implementations/test_pages_hold_commands_that_exist.py"
"""Holds each line's options and their values against the programs; runs nothing."""
CLAIMS: dict[tuple[str, str, str], str] = {
    ("docs/commands.md", "console", ""): "tests/reference/commands/test_commands_page.py",
    ("docs/commands.md", "sh", ""): PARSED,
    ("docs/differential.md", "sh", ""): OPTIONS,
    ("docs/existing.md", "console", "mesh: infrastructure: not allowed"): "tests/plugin/test_existing_runs.py",
    ("docs/existing.md", "sh", ""): OPTIONS,
    ("docs/fixtures.md", "python", ""): "tests/pages/test_blocks_are_run.py",
    ("docs/implementations.md", "sh", ""): OPTIONS,
    ("docs/injection.md", "python", ""): "tests/pages/test_blocks_are_run.py",
    ("docs/istio.md", "sh", ""): OPTIONS,
    ("docs/judge-your-own-mesh.md", "sh", ""): OPTIONS,
    ("docs/judge-your-own-mesh.md", "console", "$ pytest-mesh implementation check acme"): "tests/pages/test_blocks_are_run.py",
    ("docs/judge-your-own-mesh.md", "console", "$ sed -e"): "tests/pages/test_blocks_are_run.py",
    ("docs/judge-your-own-mesh.md", "console", "$ pytest --pyargs"): "tests/pages/live_judge.py",
    ("docs/judge-your-own-mesh.md", "console", "$ export KUBECONFIG"): "tests/implementations/live_own_mesh.py",
    ("docs/judge-your-own-mesh.md", "console", "mesh: "): "tests/implementations/live_own_mesh.py",
    ("docs/judge-your-own-mesh.md", "console", "E  "): "tests/implementations/live_own_mesh.py",
    ("docs/judge-your-own-mesh.md", "console", "$ pip install ./acme-mesh"): "tests/pages/live_judge.py",
    ("docs/kind.md", "sh", ""): OPTIONS,
    ("docs/offline.md", "python", ""): "tests/offline/test_the_page_is_true.py",
    ("docs/oracle.md", "python", ""): "tests/pages/test_blocks_are_run.py",
    ("docs/report.md", "console", ""): "tests/pages/test_blocks_are_run.py",
    ("docs/report.md", "sh", ""): OPTIONS,
    ("docs/start.md", "console", ""): "tests/pages/live_start.py",
    ("docs/start.md", "python", ""): "tests/pages/live_start.py",
    ("README.md", "console", "$ make conformance"): ".ci/run",
    ("README.md", "console", "mesh: cluster"): "tests/pages/test_blocks_are_run.py",
    ("README.md", "console", "E  "): "tests/pages/test_blocks_are_run.py",
    ("README.md", "python", ""): "tests/pages/test_blocks_are_run.py",
}  # fmt: skip
"""(page, language, how the block begins): what runs it. An empty beginning is for every block of that language there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a page; ``line`` counts from 1, ``reason`` is that of a mark before it."""

    page: str
    line: int
    language: str
    body: str
    reason: str

    @property
    def claims(self) -> list[tuple[str, str, str]]:
        """Give the claims that speak of this block: the longest beginnings that fit."""
        fitting = [
            one for one in CLAIMS if one[:2] == (self.page, self.language) and self.body.lstrip().startswith(one[2])
        ]
        longest = max((len(one[2]) for one in fitting), default=0)
        return [one for one in fitting if len(one[2]) == longest]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.body.lstrip().partition(chr(10))[0]}"


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Give the blocks of a page in the languages that can be run."""
    for found in _FENCE.finditer(text):
        if found[3] in LANGUAGES:
            mark = _MARK.search(text[: found.start()])
            yield Block(
                page=page,
                line=text[: found.start()].count("\n") + 1,
                language=found[3],
                body=found[4],
                reason=mark[1] if mark else "",
            )


def every_block() -> list[Block]:
    """Give the blocks of all pages."""
    return [block for page in PAGES for block in blocks_of(page, (ROOT / page).read_text())]


def unclaimed(blocks: list[Block]) -> list[str]:
    """Say of each block that is not claimed once, or claimed although it is marked, what is wrong."""
    wrong = []
    for block in blocks:
        if block.reason and block.claims:
            wrong.append(f"{block}: is marked as not run here, and claimed")
        elif not block.reason and len(block.claims) != 1:
            wrong.append(f"{block}: is run by {len(block.claims) or 'no'} test: name one in tests/pages/claims.py")
    return wrong


def target_of(runner: str, makefile: str) -> str:
    """Give the make target that runs a test file, "" where none does: ``test`` for the quick ones."""
    path = Path(runner)
    if fnmatch.fnmatch(path.name, "test_*.py"):
        return "test"
    for target, recipe in re.findall(r"^([a-z-]+):[^\n]*\n((?:\t[^\n]*\n)+)", makefile, re.MULTILINE):
        for line in recipe.splitlines():
            pattern = re.search(r"python_files='([^']+)'", line)
            if pattern and fnmatch.fnmatch(path.name, pattern[1]) and f" {path.parent} " in line:
                return str(target)
    return ""
