"""A mutant: a change in the text of a module, made while it is imported. The files stay as they are.

A mutant whose text is not found exactly once is an error: the module has moved on and the catalogue must follow.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal, get_args

CATALOGUE = Path(__file__).parent / "catalogue"

Layer = Literal["reference", "proxy", "harness"]
LAYERS: tuple[Layer, ...] = get_args(Layer)


class MutantError(ValueError):
    """A mutant that cannot be made; names it and its module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One text for another, in one module."""

    module: str
    replace: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One wrong behaviour."""

    id: str
    row: str
    """Of the semantics that it breaks."""
    says: str
    """What is wrong with a mesh like this, in a sentence."""
    changes: tuple[Change, ...]
    """One, or more where one behaviour is guarded twice; each in a module of its own."""
    kills: tuple[str, ...] = ()
    """Checks that must fail, below the suite's directory: ``routing/test_x.py::test_y[z]``; of the harness: below ``tests``."""
    seed: str = ""
    """The real bug that it repeats."""
    layer: Layer = "reference"
    """What is broken: the reference's programs, what passes between any mesh and its proxies, or the harness that judges."""
    equivalent: str = ""
    """The proof that nobody can see it. Such a mutant kills nothing; it must leave ``spares`` as they are."""
    spares: tuple[str, ...] = ()

    def applied(self, module: str, source: str) -> str:
        """Give a module's text with its change."""
        change = next(one for one in self.changes if one.module == module)
        found = source.count(change.replace)
        if found != 1:
            raise MutantError(f"mutant {self.id}: its text stands {found} times in {module}, once is wanted")
        return source.replace(change.replace, change.by)


def load(directory: Path = CATALOGUE) -> dict[str, Mutant]:
    """Read the catalogue, by id."""
    found: dict[str, Mutant] = {}
    for path in sorted(directory.glob("*.toml")):
        for entry in tomllib.loads(path.read_text())["mutant"]:
            only = [{name: entry.pop(name) for name in ("module", "replace", "by")}] if "module" in entry else []
            changes = tuple(Change(**one) for one in (*only, *entry.pop("changes", ())))
            lists = {name: tuple(entry.pop(name, ())) for name in ("kills", "spares")}
            mutant = Mutant(**entry, **lists, changes=changes)
            if (mutant.layer == "proxy") == bool(mutant.changes):
                raise MutantError(f"{path}: mutant {mutant.id} wants a change of a module, or the layer of the proxy")
            if bool(mutant.equivalent) != bool(mutant.spares) or bool(mutant.equivalent) == bool(mutant.kills):
                raise MutantError(f"{path}: mutant {mutant.id} wants kills, or equivalent and spares")
            if mutant.id in found:
                raise MutantError(f"{path}: mutant {mutant.id} is there twice")
            found[mutant.id] = mutant
    return found


def install(mutant: Mutant) -> None:
    """Have this process import the mutant's module with its change; before anything of the reference is imported."""
    for change in mutant.changes:
        if change.module in sys.modules:
            raise MutantError(f"mutant {mutant.id}: {change.module} is imported already")
    sys.meta_path.insert(0, _Finder(mutant))


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in {change.module for change in self._mutant.changes}:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.origin is None:
            raise MutantError(f"mutant {self._mutant.id}: there is no module {fullname}")
        spec.loader = _Loader(self._mutant, spec.name, spec.origin)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, mutant: Mutant, name: str, path: str) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        # Never by way of a cached file: neither its is used for the mutant, nor the mutant's for it.
        source = Path(self.path).read_text()
        return compile(self._mutant.applied(fullname, source), self.path, "exec", dont_inherit=True)
