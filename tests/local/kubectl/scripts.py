"""The lists of commands in ``commands/``: what each holds, and how its steps are run against one cluster.

A list is a namespace of its own, a directory with the list's files, and lines for bash in which ``kubectl`` is the client
that is tested. It compares nothing.
"""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import normalising
import yaml

from pytest_mesh.contracts import Image
from pytest_mesh.implementations.running import interpreter_paths

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
STEP_SECONDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line for bash. ``sort``: the order of its output's lines is not compared; ``last``: only their last one is."""

    run: str
    sort: bool = False
    last: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One list: its files by their paths, its steps, and lines that run afterwards and that are not compared."""

    name: str
    files: dict[str, str]
    steps: tuple[Step, ...]
    cleanup: tuple[str, ...] = ()

    def keys(self) -> list[str]:
        """Give each step's name: its line, with a number where the line stands again."""
        seen: dict[str, int] = {}
        names = []
        for step in self.steps:
            seen[step.run] = seen.get(step.run, 0) + 1
            names.append(step.run if seen[step.run] == 1 else f"{step.run} #{seen[step.run]}")
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cluster as the scripts see it. ``kubeconfig`` is its administrator's; ``node`` its one node's name."""

    kubeconfig: Path
    node: str
    kubectl: Path
    words: tuple[tuple[str, str], ...] = field(default=())
    """Texts that are this cluster's own, and what stands for them."""


def scripts() -> list[Script]:
    """Give every list, in the order of their names."""
    return [load(path) for path in sorted((HERE / "commands").glob("*.yaml"))]


def load(path: Path) -> Script:
    """Read one list; an unknown key is an error."""
    data: dict[str, Any] = yaml.safe_load(path.read_text())
    return Script(
        name=path.stem,
        files=data.pop("files", {}),
        steps=tuple(Step(**step) for step in data.pop("steps")),
        cleanup=tuple(data.pop("cleanup", ())),
        **data,
    )


def played(script: Script, target: Target, directory: Path) -> list[dict[str, Any]]:
    """Run a list from an empty namespace on; give each step's ``run``, ``exit``, ``out`` and ``err``, normalised."""
    namespace = f"kubectl-{script.name.replace('_', '-')}"
    directory.mkdir(parents=True)
    for name, text in script.files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    with _environment(target, namespace, directory) as environment:
        _must(f"kubectl create namespace {namespace} && {_ACCOUNT}", directory, environment)
        try:
            answers = []
            for key, step in zip(script.keys(), script.steps, strict=True):
                began = time.monotonic()
                done = _bash(step.run, directory, environment)
                log.info("%s: %5.1f s, exit %d: %s", script.name, time.monotonic() - began, done.returncode, key)
                out, err = (normalising.normalised(text, target.words) for text in (done.stdout, done.stderr))
                answers.append({"run": key, "exit": done.returncode, "out": _kept(step, out), "err": _kept(step, err)})
        finally:
            for line in script.cleanup:
                _bash(line, directory, environment)
            _bash(f"kubectl delete namespace {namespace}", directory, environment)
    return answers


_ACCOUNT = "for i in $(seq 100); do kubectl get serviceaccount/default configmap/kube-root-ca.crt && exit; sleep 0.1; done; exit 1"


def _kept(step: Step, text: str) -> str:
    lines = text.splitlines()
    if step.sort:
        lines.sort()
    if step.last:
        lines = lines[-1:]
    return "".join(f"{line}\n" for line in lines)


@contextmanager
def _environment(target: Target, namespace: str, directory: Path) -> Iterator[dict[str, str]]:
    """Give bash's environment: the client first on PATH, a kubeconfig with names of our own, a home of its own."""
    config = yaml.safe_load(target.kubeconfig.read_text())
    context = next(one["context"] for one in config["contexts"] if one["name"] == config["current-context"])
    cluster = next(one["cluster"] for one in config["clusters"] if one["name"] == context["cluster"])
    user = next(one["user"] for one in config["users"] if one["name"] == context["user"])
    own = directory.with_name(f"{directory.name}.home")
    (own / "bin").mkdir(parents=True)
    (own / "bin" / "kubectl").symlink_to(target.kubectl)
    (own / "kubeconfig").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "cluster", "cluster": cluster}],
                "users": [{"name": "admin", "user": user}],
                "contexts": [
                    {"name": "tested", "context": {"cluster": "cluster", "user": "admin", "namespace": namespace}}
                ],
                "current-context": "tested",
            }
        )
    )
    (own / "ca.crt").write_bytes(_authority(cluster, target.kubeconfig))
    yield {
        **{name: value for name, value in os.environ.items() if not name.startswith(("KUBE", "EDITOR", "VISUAL"))},
        "PATH": f"{own / 'bin'}:{os.environ['PATH']}",
        "HOME": str(own),
        "KUBECONFIG": str(own / "kubeconfig"),
        "NAMESPACE": namespace,
        "NODE": target.node,
        "SERVER": cluster["server"],
        "CA": str(own / "ca.crt"),
        "LC_ALL": "C",
        "TZ": "UTC",
    }


def _authority(cluster: dict[str, Any], kubeconfig: Path) -> bytes:
    if "certificate-authority-data" in cluster:
        return base64.b64decode(cluster["certificate-authority-data"])
    return (kubeconfig.parent / cluster["certificate-authority"]).read_bytes()


def _bash(line: str, directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=STEP_SECONDS,
        check=False,
    )


def _must(line: str, directory: Path, environment: dict[str, str]) -> None:
    done = _bash(line, directory, environment)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def images() -> dict[str, Image]:
    """Give the rows of the image table that the lists name: this interpreter, under two tags."""
    image = Image(entrypoint=(sys.executable,), readable=interpreter_paths())
    return {f"kubectl-tests/python:{tag}": image for tag in (1, 2)}
