"""Does what a page says, word by word, in an empty folder: saves its files, runs its commands, compares what they print."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
SAVED = re.compile(r"[Ss]ave(?:d)? (?:it )?as `([^`]+)`[^`]*?\n\n```\w+\n(.*?)```", re.DOTALL)
_CHANGING = (
    (re.compile(r"-[0-9a-f]{6}(?=[/. :'\"]|$)"), "-X"),  # a namespace's own name
    (re.compile(r"(?<=-)[a-z0-9]{10}-[a-z0-9]{5}\b"), "P"),  # a pod's
    (re.compile(r"(?<![\w.])[\d,]+(?:\.\d+)?(?:e-\d+)?(?=[\s%sx;,)\]^/]|$)"), "#"),
    (re.compile(r"10\^[\d.]+"), "10^#"),
    (re.compile(r"={3,}"), "=="),
    (re.compile(r" +"), " "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page and what stands below it; ``...`` is for any lines."""

    command: str
    shown: tuple[str, ...]


def steps(text: str) -> list[Step]:
    """Give the commands of a page's console blocks."""
    found = []
    for language, body in BLOCK.findall(text):
        if language != "console":
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append(Step(command, tuple(line for line in shown.splitlines() if line.strip())))
    return found


def files(text: str) -> dict[str, str]:
    """Give the files that a page says to save."""
    return dict(SAVED.findall(text))


def plain(line: str) -> str:
    """Give a line without what is otherwise in each run: figures, names of namespaces and pods, widths."""
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return line.strip()


def unlike(shown: tuple[str, ...], printed: str) -> list[str]:
    """Give the shown lines that were not printed in this order. ``...`` in a line stands for any text."""
    lines: Iterator[str] = map(plain, printed.splitlines())
    missing = []
    for line in shown:
        if line.strip() == "...":
            continue
        wanted = re.compile(".*".join(map(re.escape, plain(line).split("..."))))
        rest = list(lines)
        at = next((index for index, one in enumerate(rest) if wanted.fullmatch(one)), None)
        if at is None:
            missing.append(line)
            lines = iter(rest)
        else:
            lines = iter(rest[at + 1 :])
    return missing


class Reader:
    """Somebody with a shell in an empty folder; what was activated or exported stays."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)

    def save(self, text: str) -> None:
        """Save the page's files."""
        for name, body in files(text).items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)

    def do(self, command: str, *, seconds: float = 600) -> tuple[int, str]:
        """Run one line of shell; give its exit code and what it printed."""
        state = self.folder.parent / "shell.env"
        script = f"{command}\ncode=$?\nenv -0 > {state}\nexit $code"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        pairs = (item.partition("=") for item in state.read_text().split("\0") if item)
        self.environment = {name: value for name, _, value in pairs}
        return done.returncode, done.stdout
