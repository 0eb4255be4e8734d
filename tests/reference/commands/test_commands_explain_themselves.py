"""The help of every command, and what shells complete: examples that parse, options and exit codes that are documented."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from mesh_reference.cli import ALIASES, COMMANDS, main
from mesh_reference.manual import Manual

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from command_tree import leaves  # noqa: E402

sys.path.remove(str(HERE))
LEAVES = dict(leaves())
MESH = str(HERE / "mesh.yaml")


@pytest.mark.parametrize("path", LEAVES)
def test_the_command_has_examples_exit_codes_and_help_for_each_option(path: str) -> None:
    command = LEAVES[path]
    assert isinstance(command, Manual)
    assert command.examples
    assert 0 in command.exit_codes
    assert len(command.exit_codes) > 1 or command.exit_codes == {0: "printed"}
    undocumented = [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden and not option.help
    ]
    assert undocumented == []
    page = CliRunner().invoke(main, [*path.split(), "--help"]).stdout
    assert all(f"  {example}\n" in page for example in command.examples)
    assert all(text[:40] in page for text in command.exit_codes.values())


@pytest.mark.parametrize(
    ("path", "example"),
    [(path, example) for path, command in LEAVES.items() for example in getattr(command, "examples", ())],
)
def test_the_example_is_a_command_line_of_this_command(path: str, example: str) -> None:
    words = shlex.split(example, comments=False)
    start = words.index("refmesh") + 1
    ends = [index for index, word in enumerate(words) if word in {"|", ">"} and index >= start]
    argv = words[start : ends[0] if ends else len(words)]
    if path == "agent istio-iptables":
        path = "iptables"
    assert argv[: len(path.split())] == path.split()
    command = LEAVES[path]
    with command.make_context(path, argv[len(path.split()) :]):
        pass


def test_an_unknown_flag_in_an_example_would_be_found() -> None:
    with pytest.raises(click.NoSuchOption):
        LEAVES["explain"].make_context("explain", ["--form", "a"])


def test_the_first_page_names_every_command_and_imports_none() -> None:
    code = (
        "import sys; from mesh_reference.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    page, _, modules = done.stdout.rstrip().rpartition("\n")
    assert all(f"  {name}" in page for name in COMMANDS)
    assert not {"grpc", "kubernetes", "mesh_reference.commands.sources"} & set(modules.split())


def test_istioctls_short_names_are_taken() -> None:
    assert ALIASES == {"pc": "proxy-config", "ps": "proxy-status"}
    long = CliRunner().invoke(main, ["proxy-config", "route", "-f", MESH, "--for", "shop/tester"])
    for words in (["pc", "r"], ["pc", "routes"]):
        assert CliRunner().invoke(main, [*words, "-f", MESH, "--for", "shop/tester"]).stdout == long.stdout


def completed(*words: str) -> list[str]:
    found = ShellComplete(main, {}, "refmesh", "_REFMESH_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("pro",), ["proxy-config", "proxy-status"]),
        (("proxy-config", "se"), ["secret"]),
        (("explain", "--h"), ["--header", "--help"]),
        (("analyze", "-o", ""), ["log", "json", "yaml"]),
        (("analyze", "-S", "IST017"), ["IST0173", "IST0174"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("explain", "-f", MESH, "--from", "shop/t"), ["shop/tester"]),
        (("describe", "pod", "-f", MESH, "shop/r"), ["shop/reviews-v1"]),
        (("proxy-config", "route", "-f", MESH, "-n", "s"), ["shop"]),
    ],
)
def test_words_are_completed(words: tuple[str, ...], values: list[str]) -> None:
    assert completed(*words)[: len(values)] == values


def test_a_file_is_completed_by_the_shell() -> None:
    found = ShellComplete(main, {}, "refmesh", "_REFMESH_COMPLETE").get_completions(["validate", "-f"], "m")
    assert [item.type for item in found] == ["file"]


def test_pods_of_the_cluster_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mesh_reference.commands import sources

    class Cluster:
        async def list(self, _resource: Any) -> list[Any]:
            return [{"metadata": {"namespace": "shop", "name": name}} for name in ("b", "a")]

    def ask(_config: Any, _context: Any, use: Any) -> Any:
        import asyncio

        return asyncio.run(use(Cluster()))

    monkeypatch.setattr(sources, "with_cluster", ask)
    assert completed("proxy-status", "sh") == ["shop/a", "shop/b"]


def test_a_cluster_that_does_not_answer_completes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert completed("proxy-status", "sh") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert (result.exit_code, f"_REFMESH_COMPLETE={shell}_complete" in result.stdout) == (0, True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_itself_completes_with_the_script(tmp_path: Path) -> None:
    (tmp_path / "refmesh").symlink_to(Path(sys.executable).with_name("refmesh"))
    lines = 'eval "$(refmesh completion bash)"; COMP_WORDS=(refmesh pro); COMP_CWORD=1; _refmesh_completion refmesh; echo "${COMPREPLY[@]}"'
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", lines], capture_output=True, text=True, check=True, timeout=60, env={**os.environ, "PATH": path})  # fmt: skip
    assert done.stdout.split() == ["proxy-config", "proxy-status"]
