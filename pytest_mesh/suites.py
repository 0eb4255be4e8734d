"""Whether a suite is whole: each feature of its catalogue in a known profile and with a check, each test of its a check.

Read from what was collected; it starts nothing. A suite is what lies below
whoever registers features: a project's own tests elsewhere are not looked at.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

from pytest_mesh.keys import check_name, feature_of, is_mesh_test
from pytest_mesh.options import near

if TYPE_CHECKING:
    from pytest_mesh.hooks import FeatureData

PROFILES: Final = ("ISTIO-ROUTING", "MESH-INJECTION", "MESH-IDENTITY", "MESH-VALIDATION")
LEVELS: Final = ("core", "extended", "provisional")
_RESERVED: Final = ("MESH-XDS", "MESH-CHURN")
"""Profiles that have a name and no checks yet."""

_SELECTIONS: Final = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise")
"""Where pytest keeps what leaves tests out."""

_SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Features as one plugin or conftest registered them."""

    home: Path | None
    """Directory of the suite; None where the plugin lies in none of its own."""
    file: str
    features: tuple[FeatureData, ...]


def registrants(config: pytest.Config) -> list[tuple[Path | None, str, Any]]:
    """Give who registers features, first called first: directory of the suite, file, hook function. It calls none."""
    found = []
    for implementation in reversed(config.hook.pytest_mesh_features.get_hookimpls()):
        plugin = implementation.plugin
        try:
            file = inspect.getfile(plugin if isinstance(plugin, ModuleType) else type(plugin))
        except (TypeError, OSError):
            file = ""
        home = _home(Path(file)) if file else None
        found.append((home, file or str(implementation.plugin_name), implementation))
    return found


def catalogues(config: pytest.Config) -> list[Catalogue]:
    """Call everybody who registers features."""
    return [
        Catalogue(home=home, file=file, features=tuple(one.function(*[config for _ in one.argnames]) or ()))
        for home, file, one in registrants(config)
    ]


def refuse_unnamed(items: Iterable[pytest.Item]) -> None:
    """Raise ``pytest.UsageError`` for a mark that names no feature."""
    marked = [(item, item.get_closest_marker("mesh_feature")) for item in items]
    bare = [check_name(item) for item, mark in marked if mark is not None and not feature_of(item)]
    _refuse('mesh_feature: wants the id of a feature, as mesh_feature("ID")', bare)


def refuse_orphans(config: pytest.Config, items: Sequence[pytest.Item]) -> None:
    """Raise ``pytest.UsageError`` for a test of a suite that asks for a mesh and is a check of no feature.

    What compares two meshes judges neither of them, so it is a check of none.
    """
    homes = _homes(config)
    orphans = [
        check_name(item)
        for item in items
        if is_mesh_test(item)
        and not feature_of(item)
        and item.get_closest_marker("mesh_differential") is None
        and _lies_in(item, homes)
    ]
    _refuse('in a suite, and a check of no feature (mark it mesh_feature("ID"))', orphans)


def holds_any(config: pytest.Config, items: Iterable[pytest.Item]) -> bool:
    """Whether a test lies in a suite."""
    homes = _homes(config)
    return any(_lies_in(item, homes) for item in items)


def refuse_misplaced(found: Iterable[Catalogue]) -> None:
    """Raise ``pytest.UsageError`` for a feature whose profile or level is none."""
    for catalogue in found:
        _refuse(f"features of {catalogue.file}", _misplaced(catalogue.features))


def refuse_unproven(config: pytest.Config, items: Sequence[pytest.Item], found: Iterable[Catalogue]) -> None:
    """Raise ``pytest.UsageError`` for features without a check, where the whole of their suite was collected.

    ``items`` is what was collected, before anything is left out of it.
    """
    if any(getattr(config.option, name, None) for name in _SELECTIONS):
        return
    proven = {feature_of(item) for item in items}
    for catalogue in found:
        if catalogue.home is not None and any(_covers(config, one, catalogue.home) for one in config.args):
            lacking = [one.id for one in catalogue.features if one.id not in proven]
            _refuse(f"features of {catalogue.file}: without a check", lacking)


def _homes(config: pytest.Config) -> list[Path]:
    return [home for home, _, _ in registrants(config) if home is not None]


def _lies_in(item: pytest.Item, homes: Iterable[Path]) -> bool:
    return any(item.path.is_relative_to(home) for home in homes)


def _misplaced(features: Iterable[FeatureData]) -> Iterator[str]:
    for one in features:
        if one.profile in _RESERVED:
            yield f"{one.id}: profile {one.profile!r} is reserved"
        elif one.profile not in PROFILES:
            yield f"{one.id}: unknown profile {one.profile!r}{near(one.profile, PROFILES) or _choices(PROFILES)}"
        if one.level not in LEVELS:
            yield f"{one.id}: unknown level {one.level!r}{near(one.level, LEVELS) or _choices(LEVELS)}"


def _choices(names: Iterable[str]) -> str:
    return f" (one of {', '.join(names)})"


def _home(file: Path) -> Path | None:
    """Give the directory of a suite: that of its conftest, or the package in which its plugin lies."""
    top = file.parent
    if file.name == "conftest.py":
        return top
    if not (top / "__init__.py").exists():
        return None
    while (top.parent / "__init__.py").exists():
        top = top.parent
    return top


def _covers(config: pytest.Config, argument: str, home: Path) -> bool:
    """Whether an argument of the command line asks for all that lies below a directory."""
    if "::" in argument:
        return False
    path = (config.invocation_params.dir / argument).resolve()
    home = home.resolve()
    if config.option.pyargs and not path.exists():
        try:
            spec = find_spec(argument)
        except (ImportError, ValueError):
            return False
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        return any(home.is_relative_to(Path(place).resolve()) for place in places)
    return home.is_relative_to(path)


def _refuse(what: str, names: Iterable[str]) -> None:
    """Raise one line that names the first few."""
    listed = list(dict.fromkeys(names))
    if listed:
        more = f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        raise pytest.UsageError(f"{what}: {'; '.join(listed[:_SHOWN])}{more}")
