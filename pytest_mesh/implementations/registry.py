"""Which implementations there are by name: those that the plugin ships, and those of installed packages.

A package offers one by an entry point of the group ``pytest_mesh.implementations``:
``NAME = "PACKAGE"`` says that PACKAGE holds NAME.toml. Nothing of the package is run.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pytest_mesh.implementations import SHIPPED

GROUP = "pytest_mesh.implementations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One implementation by name."""

    name: str
    origin: str
    """Who offers it: ``pytest-mesh``, or a distribution and its version."""
    path: Path | None = None
    """None where it cannot be used; ``problem`` says why."""
    problem: str = ""


def offers() -> list[Offer]:
    """Give every implementation that is offered, by name; those that cannot be used say why."""
    return sorted((*_shipped(), *_installed()), key=lambda one: (one.name, one.origin))


def find(name: str) -> Offer | None:
    """Give the implementation of this name, or None. A shipped name is always the shipped one."""
    if name in SHIPPED:
        return next(one for one in _shipped() if one.name == name)
    return next((one for one in _installed() if one.name == name), None)


def names() -> list[str]:
    """Give the names that can be chosen."""
    return sorted({one.name for one in offers() if one.path is not None})


def _shipped() -> Iterator[Offer]:
    for name, path in SHIPPED.items():
        yield Offer(name=name, origin="pytest-mesh", path=path)


def _installed() -> list[Offer]:
    points = sorted(metadata.entry_points(group=GROUP), key=lambda one: (one.name, _origin(one), one.value))
    found = []
    for point in points:
        others = [one for one in points if one.name == point.name and one is not point]
        found.append(_offer(point, _origin(others[0]) if others else ""))
    return found


def _offer(point: metadata.EntryPoint, other: str) -> Offer:
    origin = _origin(point)
    what = f"entry point {point.name!r} of {origin}"
    if point.name in SHIPPED:
        return Offer(name=point.name, origin=origin, problem=f"{what}: the name is taken by pytest-mesh itself")
    if other:
        problem = f"{what}: {other} gives the same name: uninstall one of them, or give the path of a file"
        return Offer(name=point.name, origin=origin, problem=problem)
    try:
        path = _file(point)
    except LookupError as error:
        return Offer(name=point.name, origin=origin, problem=f"{what}: {error.args[0]}")
    return Offer(name=point.name, origin=origin, path=path)


def _file(point: metadata.EntryPoint) -> Path:
    """Find the file of an entry point; raises LookupError with what is wrong with it."""
    package = point.value.strip()
    try:
        spec = importlib.util.find_spec(package)
    except Exception as error:  # a package above it is imported, and may raise anything
        raise LookupError(f"package {package!r} cannot be found: {type(error).__name__}: {error}") from error
    if spec is None:
        raise LookupError(f"there is no package {package!r}")
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if not places:
        raise LookupError(f"{package!r} is a module: name the package that holds {point.name}.toml")
    for place in places:
        if (place / f"{point.name}.toml").is_file():
            return place / f"{point.name}.toml"
    raise LookupError(f"package {package!r} holds no {point.name}.toml (looked in {places[0]})")


def _origin(point: metadata.EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
