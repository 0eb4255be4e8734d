"""Whatever is wrong with manifests: one line with its place, the rest goes on, and never a traceback."""

from __future__ import annotations

import copy
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mesh_reference.cli import main
from mesh_reference.errors import why

MESH = Path(__file__).parent / "mesh.yaml"
COMMANDS = (
    ("analyze", "-"),
    ("describe", "pod", "shop/reviews-v1", "-f", "-"),
    ("describe", "service", "shop/reviews", "-f", "-"),
    ("explain", "-f", "-", "--from", "shop/tester", "--url", "http://reviews/x"),
    ("proxy-config", "all", "-f", "-", "--for", "shop/tester"),
)
JUNK: tuple[Any, ...] = (None, 0, -1, "", "x", [], [1], {}, {"a": 1}, True, 1.5, [None], {"name": ["x"]})


def run(text: str, *arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments or COMMANDS[0]), input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), (result.exception, text)
    return result


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [\n b", r"-:\d+:\d+: .+"),
        ("metadata: {name: x}", "-:1:1: a document needs apiVersion and kind"),
        ("- 1", "-:1:1: a document needs apiVersion and kind"),
        ("{apiVersion: v1, kind: List, items: [{kind: Pod}]}", "-:1:1: a document needs apiVersion and kind"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports:\n  - name: x", r"-:6:1: Service: spec.ports\[0\].port must be a number"),
        ("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: [1]", "-:5:1: Pod: metadata.labels must be an object"),
        ("apiVersion: v1\nkind: Service\nmetadata: x", "-:3:1: Service: metadata must be an object"),
        ("a: \x00", r"-:1:1: .+"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_what_cannot_be_read_is_one_line_with_its_place(command: tuple[str, ...], text: str, says: str) -> None:
    alone = run(text, *command)
    assert (alone.exit_code, alone.stdout) == (2, "") or command[0] == "analyze"
    assert re.fullmatch(says, alone.stderr.splitlines()[0])
    beside = run(f"{MESH.read_text()}\n---\n{text}", *command)
    assert beside.exit_code == 2
    assert beside.stdout
    assert len([line for line in beside.stderr.splitlines() if line.startswith("-:")]) == 1


def test_a_file_that_is_not_there_does_not_keep_the_others_from_being_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "large.yaml").write_text("a" * 9_000_000)
    result = run("", "analyze", str(MESH), str(tmp_path), "/nowhere.yaml")
    assert result.exit_code == 2
    assert "IST0101" in result.stdout
    assert result.stderr.splitlines() == [
        f"{tmp_path}/binary.yaml: not UTF-8 text",
        f"{tmp_path}/large.yaml:1:1: 9000000 bytes are more than the 8388608 this command reads",
        "/nowhere.yaml: No such file or directory",
    ]


@pytest.mark.parametrize("text", ["a: [\n b", "a: 1\n---\nb: 2\n", "apiVersion: v1\n", ""])
def test_a_kubeconfig_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(text)
    for command in (["analyze"], ["proxy-status"], ["proxy-config", "route", "a.b"], ["describe", "pod", "a/b"]):
        result = run("", *command, "--kubeconfig", str(config))
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert str(config) in result.stderr
    absent = run("", "analyze", "--kubeconfig", "/nowhere")
    assert absent.stderr == "--kubeconfig /nowhere: no such file\n"


def spoiled(documents: list[Any], dice: random.Random) -> str:
    """The documents with one to three values replaced by something else, or taken away."""
    found = copy.deepcopy(documents)
    for _ in range(dice.randint(1, 3)):
        holder, key = dice.choice(list(_places(found)))
        if dice.random() < 0.15:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(dice.choice(JUNK))
    return yaml.safe_dump_all(found)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


def test_no_spoiled_mesh_ends_in_a_traceback() -> None:
    documents = [*yaml.safe_load_all(MESH.read_text()), *yaml.safe_load_all((MESH.parent / "many.yaml").read_text())]
    dice = random.Random(7)
    for number in range(20):
        run(spoiled(documents, dice), *COMMANDS[number % len(COMMANDS)])


def test_why_a_connection_failed_is_never_empty() -> None:
    assert why(TimeoutError()) == "no answer in time"
    assert why(ConnectionResetError()) == "ConnectionResetError"
    assert why(OSError("no route to host")) == "no route to host"


def test_a_cluster_that_does_not_answer_is_one_line_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesh_reference.kube.client.ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"https://127.0.0.1:{silent.getsockname()[1]}"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "x"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        result = run("", "proxy-status", "--kubeconfig", str(tmp_path / "kubeconfig"))
    path = "/api/v1/namespaces/istio-system/pods"
    assert result.stderr == f"the cluster cannot be asked: GET {server}{path}: no answer in time\n"
    assert result.exit_code == 2
