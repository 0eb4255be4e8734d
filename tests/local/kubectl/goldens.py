"""What kubectl printed on kind: kept by the client's version and by list, in ``answers/``; and what may differ from it.

Reads and writes files, compares; runs nothing.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ANSWERS = HERE / "answers"
DIFFERENCES = HERE / "differences.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A step that may differ: why, by which client (empty = each), and kind's exit code and ours where these differ too."""

    script: str
    run: str
    why: str
    client: str = ""
    exit: tuple[int, int] | None = None


def known() -> list[Known]:
    """Read the differences file."""
    reasons = yaml.safe_load(DIFFERENCES.read_text()) or []
    return [
        Known(script=script, why=reason["why"], **({"run": run} if isinstance(run, str) else _read(run)))
        for reason in reasons
        for script, runs in reason["steps"].items()
        for run in runs
    ]


def _read(run: dict[str, Any]) -> dict[str, Any]:
    return {**run, "exit": tuple(run["exit"])} if "exit" in run else run


def clients() -> dict[str, Path]:
    """Give the clients by minor version (``1.34``): those that MESH_KUBECTL names (``:`` between), else those on PATH."""
    named = os.environ.get("MESH_KUBECTL")
    places = (
        named.split(":")
        if named
        else [found for place in os.environ["PATH"].split(":") if (found := shutil.which("kubectl", path=place))]
    )
    found: dict[str, Path] = {}
    for place in places:
        found.setdefault(version(Path(place)), Path(place).resolve())
    return found


def version(kubectl: Path) -> str:
    """Give a client's minor version."""
    done = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True)
    told = re.match(r"v(\d+\.\d+)\.", json.loads(done.stdout)["clientVersion"]["gitVersion"])
    assert told, done.stdout
    return told[1]


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def write(client: str, script: str, answers: list[dict[str, Any]]) -> None:
    """Keep a list's answers."""
    path = ANSWERS / client / f"{script}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = [{name: value for name, value in one.items() if value != ""} for one in answers]
    path.write_text(yaml.dump(kept, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10000))


def read(client: str, script: str) -> list[dict[str, Any]]:
    """Give a list's kept answers."""
    kept = yaml.load(
        (ANSWERS / client / f"{script}.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return [{"out": "", "err": "", **one} for one in kept]


def difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Give what differs between two answers of one step, as a text; empty = nothing."""
    parts = []
    if theirs["exit"] != ours["exit"]:
        parts.append(f"exit {theirs['exit']} on kind, {ours['exit']} here")
    for name in ("out", "err"):
        lines: Iterable[str] = difflib.unified_diff(
            theirs[name].splitlines(), ours[name].splitlines(), f"{name} on kind", f"{name} here", lineterm="", n=2
        )
        parts += lines
    return "\n".join(parts)
