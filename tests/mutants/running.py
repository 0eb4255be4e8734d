"""Runs checks against a mutant and gives their verdicts: the suite on a cluster of its own, or the project's own tests.

It does not choose mutants and it does not judge the suite (``matrix``).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import patching
import reasons
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SUITE = "conformance/mesh_conformance"
REFERENCE = ROOT / "pytest_mesh" / "implementations" / "reference.toml"
_RUN_SECONDS, _CHECK_SECONDS = 1200, 30
"""A run's time: what a few checks take at most, and for each check what a mesh may take to converge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run said."""

    verdicts: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    """Of each failed check: why (``reasons.Ended.kind``)."""
    not_run: str = ""
    """Why the mutant could not be had at all."""
    found: int = 0
    """Pushes that a property took to find what is wrong; 0 = none ran."""
    pushes: int = 0
    """Pushes to find it and to make it small."""
    seconds: float = 0.0
    output: str = ""
    """What pytest printed."""


def collected() -> list[str]:
    """Give every check of the suite, as mutants name them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", SUITE, "--collect-only", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise click.ClickException(f"the suite cannot be collected: {done.stdout}{done.stderr}")
    return [short(line) for line in done.stdout.splitlines() if "::" in line]


def short(check: str) -> str:
    """Give a check's name below the suite's directory."""
    return check.removeprefix(f"{SUITE}/").removeprefix("mesh_conformance/")


def implementation(mutant: patching.Mutant) -> str:
    """Give the reference's implementation file with the mutant in every one of its programs."""
    text = REFERENCE.read_text()
    plain, runner = '"-m", "mesh_reference.cli"', f'"{HERE / "run.py"}", "{mutant.id}"'
    if text.count(plain) < 4:
        raise patching.MutantError(f"{REFERENCE}: {plain} stands {text.count(plain)} times, 4 are wanted at least")
    return text.replace(plain, runner)


def behind_proxy(base: Path, mutant: str) -> str:
    """Give an implementation's file with the mutating proxy before its control plane; raises MutantError."""
    text = base.read_text()
    secret = tomllib.loads(text).get("identity", {}).get("root_secret")
    for wanted, found in (("manifests_command", "manifests_command = [" in text), ("identity.root_secret", secret)):
        if not found:
            raise patching.MutantError(f"{base}: has no {wanted}, without which the proxy cannot stand before it")
    where = f'"{{python}}", "{HERE / "proxy" / "manifests.py"}", "{mutant}", "{secret[0]}/{secret[1]}", '
    text = text.replace("manifests_command = [", f"manifests_command = [{where}", 1)
    text = text.replace("{dir}", str(base.parent)).replace("ready = [", f'ready = ["{secret[0]}/mesh-mutants", ', 1)
    return f'{text}\n[images."mesh-mutants/proxy"]\nentrypoint = ["{{python}}", "{HERE / "proxy" / "serve.py"}"]\n'


def suite(checks: Sequence[str], *, text: str, name: str, cluster_name: str) -> Run:
    """Run checks of the suite against what an implementation's file says, on a cluster of its own.

    Of its own, because a broken control plane leaves behind what it wrote: roots, patches, leaves.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mesh-mutant-") as directory:
        file = Path(directory) / f"{name}.toml"
        file.write_text(text)
        report = Path(directory) / "report.yaml"
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", *(f"{SUITE}/{check}" for check in checks), "-q", "-p", "no:cacheprovider",
                f"--mesh-implementation={file}", f"--mesh-report={report}", "--mesh-fresh",
                f"--mesh-cluster-name={cluster_name}", f"--mesh-artifacts={directory}/artifacts",
                f"--junitxml={directory}/results.xml",
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=_RUN_SECONDS + _CHECK_SECONDS * len(checks),
            env={**os.environ, "MESH_EXTENDED": "1"},
        )  # fmt: skip
        if not report.exists():
            raise click.ClickException(f"{file}: no report: {done.stdout[-3000:]}{done.stderr[-2000:]}")
        tests = yaml.safe_load(report.read_text())["tests"]
        ended = reasons.read(Path(directory) / "results.xml")
    return Run(
        kinds={one.test: one.kind for one in ended if one.kind},
        verdicts={short(one["id"]): one["verdict"] for one in tests},
        messages={short(one["id"]): one["message"] for one in tests if "message" in one},
        found=max((one["evidence"].get("found", 0) for one in tests), default=0),
        pushes=max((one["evidence"].get("pushes", 0) for one in tests if one["verdict"] == "failed"), default=0),
        seconds=time.monotonic() - started,
        output=done.stdout,
    )


def harness(checks: Sequence[str], *, mutant: str) -> Run:
    """Run tests of the project, in processes of which each has the harness's mutant (empty = none).

    A parametrized test fails when one of its cases does.
    """
    started = time.monotonic()
    path = os.pathsep.join(filter(None, (str(HERE / "in_every_process"), os.environ.get("PYTHONPATH", ""))))
    with tempfile.TemporaryDirectory(prefix="mesh-mutant-") as directory:
        results = Path(directory) / "results.xml"
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", *(f"tests/{check}" for check in checks), "-q", "-p", "no:cacheprovider",
                f"--junitxml={results}",
            ],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=_RUN_SECONDS,
            env={**os.environ, "PYTHONPATH": path, "HARNESS_MUTANT": mutant, "CI": "true"},
        )  # fmt: skip
        if not results.exists():
            raise click.ClickException(f"{mutant}: no results: {done.stdout[-3000:]}{done.stderr[-2000:]}")
        ended = reasons.read(results)
    verdicts: dict[str, str] = {}
    for check in checks:
        of_check = {one.verdict for one in ended if one.test == check or one.test.startswith(f"{check}[")}
        verdicts[check] = next((word for word in ("failed", "skipped", "passed") if word in of_check), "not run")
    return Run(verdicts=verdicts, seconds=time.monotonic() - started)
