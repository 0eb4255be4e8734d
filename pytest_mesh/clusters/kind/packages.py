"""Which installed Python packages a module needs: the files that its image gets.

It reads what pip wrote about what it installed; nothing is imported, run or downloaded.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import unquote, urlparse

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_mesh.clusters.kind.programs import KindError

PYTHON: Final = f"{sys.version_info[0]}.{sys.version_info[1]}"
_CACHE_TAG: Final = f".{sys.implementation.cache_tag}"
_OUTSIDE: Final = frozenset({"pytest-kind", "pip", "setuptools"})
"""Packages that never run in a pod, whatever requires them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One importable top-level package with all that it needs.

    ``own`` (the package itself) and ``required`` map the path below a directory of
    ``sys.path`` to the file here: the one changes often, the other seldom. ``known``
    holds digests that pip recorded. ``scripts`` are commands by name, as Python text.
    """

    own: Mapping[str, Path]
    required: Mapping[str, Path]
    known: Mapping[str, str]
    scripts: Mapping[str, str]


def module(top: str, *, alone: bool, beside: Sequence[str] = ()) -> Module:
    """Give what the package ``top`` needs; ``alone`` = nothing but itself (it runs without site packages).

    ``beside`` names the distributions that such a one imports all the same.
    """
    spec = importlib.util.find_spec(top)
    if spec is None or (spec.origin is None and not spec.submodule_search_locations):
        raise KindError(f"the image of python -m {top}: no such package is installed here")
    own = Path(next(iter(spec.submodule_search_locations or ()), spec.origin or ""))
    files = dict(_walk(own, top))
    roots = [metadata.distribution(name) for name in beside] if alone else _distributions_of(top, own)
    required: dict[str, Path] = {}
    known: dict[str, str] = {}
    for distribution in _closure(roots):
        for path in distribution.files or ():
            name = PurePosixPath(str(path)).as_posix()
            place = Path(str(path.locate()))
            if ".." in path.parts or name.endswith(".pth") or name in files or not place.is_file():
                continue
            required[name] = place
            if path.hash is not None:
                known[name] = f"{path.hash.mode}={path.hash.value}"
    return Module(own=files, required=required, known=known, scripts={} if alone else _scripts(roots, top))


def compiled(name: str) -> bool:
    """Whether a file is Python's cache and so no content of its own."""
    return name.endswith(".pyc")


def _walk(own: Path, top: str) -> Iterator[tuple[str, Path]]:
    if own.is_file():
        yield own.name, own
        return
    for path in sorted(own.rglob("*")):
        name = f"{top}/{path.relative_to(own).as_posix()}"
        if path.is_file() and (not compiled(name) or _CACHE_TAG in path.name):
            yield name, path


def _distributions_of(top: str, own: Path) -> list[metadata.Distribution]:
    names = metadata.packages_distributions().get(top, ())
    if names:
        return [metadata.distribution(name) for name in dict.fromkeys(names)]
    return [one for one in metadata.distributions() if _is_editable_of(one, own)]


def _is_editable_of(distribution: metadata.Distribution, own: Path) -> bool:
    """Whether a package lies in the source tree that an editable installation points to."""
    text = distribution.read_text("direct_url.json")
    data = json.loads(text) if text else {}
    if not data.get("dir_info", {}).get("editable"):
        return False
    return Path(unquote(urlparse(data["url"]).path)) in own.resolve().parents


def _closure(roots: list[metadata.Distribution]) -> list[metadata.Distribution]:
    """Give distributions with all that they require and that is installed; of the roots every extra counts."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(one, ("", *(one.metadata.get_all("Provides-Extra") or ()))) for one in roots]
    while todo:
        distribution, extras = todo.pop()
        name = canonicalize_name(distribution.metadata["Name"])
        found[name] = distribution
        for text in distribution.requires or ():
            requirement = Requirement(text)
            wanted = canonicalize_name(requirement.name)
            marker = requirement.marker
            if wanted in _OUTSIDE or not (marker is None or any(marker.evaluate({"extra": one}) for one in extras)):
                continue
            deeper = tuple(one for one in ("", *sorted(requirement.extras)) if (wanted, one) not in seen)
            seen.update((wanted, one) for one in deeper)
            try:
                if deeper:
                    todo.append((metadata.distribution(wanted), deeper))
            except metadata.PackageNotFoundError:
                continue  # of an extra that is not installed
    return [found[name] for name in sorted(found)]


def _scripts(roots: list[metadata.Distribution], top: str) -> dict[str, str]:
    """Give the commands of a package: hooks and probes in a Pod's spec call them by name."""
    scripts = {}
    for distribution in roots:
        for one in distribution.entry_points:
            if one.group == "console_scripts" and one.module.partition(".")[0] == top:
                scripts[one.name] = (
                    f"#!/usr/bin/env python3\nimport sys\n\nfrom {one.module} import {one.attr}\n\n"
                    f"sys.exit({one.attr}())\n"
                )
    return scripts
