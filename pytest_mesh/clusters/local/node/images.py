"""The image table: which local root, entry point and environment an image name stands for.

Reads the file that the cluster's handle writes; downloads and unpacks nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_mesh.contracts import Image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class UnknownImageError(Exception):
    """The image table has no such row (ErrImagePull); the text says which row to add."""


def find(table: Mapping[str, object], name: str) -> str | None:
    """Give the row's key for ``name``: the exact name, else the name without digest, else without tag too."""
    bare = name.partition("@")[0]
    untagged = bare[: bare.rfind(":")] if ":" in bare.rpartition("/")[2] else bare
    return next((key for key in (name, bare, untagged) if key in table), None)


def load(path: Path, name: str) -> Image:
    """Read the table and give the Image for ``name``; UnknownImageError when there is none."""
    table = json.loads(path.read_text())
    key = find(table, name)
    if key is None:
        known = ", ".join(sorted(table)) or "none"
        raise UnknownImageError(
            f'image "{name}" is not in this cluster\'s image table (known: {known}). The embedded cluster pulls nothing: '
            f'add [images."{find_key(name)}"] with root, entrypoint and env to the implementation\'s file, '
            f"or run a stand_in instead"
        )
    return Image.from_json(table[key])


def find_key(name: str) -> str:
    """Give the key that a new row for ``name`` should have: without tag and digest."""
    bare = name.partition("@")[0]
    return bare[: bare.rfind(":")] if ":" in bare.rpartition("/")[2] else bare
