"""The manifests that a command is given: files, all files below a directory, or standard input. The edge: it reads.

It does not look into the text: `documents` does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh_reference.errors import MeshError

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The text of one file. ``name`` is its path, or ``-``."""

    name: str
    text: str


class UnreadableError(MeshError):
    """A file that cannot be read, or a directory without manifests; ``str()`` is one line."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name}: {problem}")
        self.name, self.problem = name, problem


def each(names: Iterable[str]) -> Iterator[Manifest | UnreadableError]:
    """Every manifest of files, directories (by path) and ``-``; what cannot be read in its place."""
    for name in names:
        below = [name]
        if name != STANDARD_INPUT and Path(name).is_dir():
            below = [str(item) for item in sorted(Path(name).rglob("*")) if item.suffix in SUFFIXES and item.is_file()]
            if not below:
                yield UnreadableError(name, f"the directory holds no file that ends in {', '.join(SUFFIXES)}")
        for file in below:
            try:
                yield Manifest(name=file, text=read(file))
            except UnreadableError as problem:
                yield problem


def read(name: str) -> str:
    """A file's text, or standard input's for ``-``. Raises `UnreadableError`."""
    try:
        data = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as problem:
        raise UnreadableError(name, problem.strerror or str(problem)) from problem
    except UnicodeDecodeError as problem:
        raise UnreadableError(name, "not UTF-8 text") from problem
