"""What an implementation's file names and this machine does not have: programs, manifests, paths. Nothing is run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_mesh import documents
from pytest_mesh.contracts import Image, Implementation
from pytest_mesh.implementations.findings import Finding
from pytest_mesh.implementations.positions import dotted

_OPEN = re.compile(r"\{(env:[A-Z0-9_]+|envoy)\}")
"""A word that could not be filled; that it could not is a finding already."""


def lacking(implementation: Implementation) -> list[Finding]:
    """Give a finding for each thing that is not there."""
    return [
        Finding.at(implementation, key, rule, "machine")
        for key, rule in (*_commands(implementation), *_manifests(implementation), *_images(implementation))
    ]


def _commands(implementation: Implementation) -> Iterator[tuple[str, str]]:
    commands: dict[str, Sequence[str]] = {
        "install.manifests_command": implementation.manifests_command,
        **{f"install.install[{index}]": one for index, one in enumerate(implementation.install)},
        **{f"install.remove[{index}]": one for index, one in enumerate(implementation.remove)},
        "injection.kube_inject_command": implementation.kube_inject_command,
        "injection.config_dump_command": implementation.config_dump_command,
    }
    for key, command in commands.items():
        if command and (rule := _program(command[0])):
            yield f"{key}[0]", rule


def _program(name: str, *, root: str = "/") -> str:
    """Say what is wrong with a program; empty when nothing is."""
    if _OPEN.search(name):
        return ""
    if "/" not in name:
        missing = root == "/" and shutil.which(name) is None
        return f"program {name!r} is not on PATH" if missing else ""
    path = Path(root) / name.lstrip("/") if root != "/" else Path(name)
    if not path.is_file():
        return f"there is no program {path}"
    return "" if os.access(path, os.X_OK) else f"{path} is not executable"


def _manifests(implementation: Implementation) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(implementation.manifests):
        key = f"install.manifests[{index}]"
        if _OPEN.search(name):
            continue
        try:
            if not documents.read(Path(name)):
                yield key, f"{name} holds no document"
        except documents.DocumentError as error:
            yield key, str(error)


def _images(implementation: Implementation) -> Iterator[tuple[str, str]]:
    for name, image in implementation.images.items():
        for below, rule in _image(image):
            yield dotted(("images", name, *below)), rule


def _image(image: Image) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if not Path(image.root).is_dir():
        yield ("root",), f"there is no directory {image.root}"
        return
    if image.entrypoint and (rule := _program(image.entrypoint[0], root=image.root)):
        yield ("entrypoint", 0), rule
    for index, path in enumerate(image.readable):
        if not _OPEN.search(path) and not (Path(image.root) / path.lstrip("/")).exists():
            yield ("readable", index), f"there is nothing at {path}"
