"""All scenes, and the goldens beside them: one file of JSON lines a family, the real server's answers in order."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from families import (
    access,
    applying,
    creating,
    definitions,
    deleting,
    documents,
    grown,
    kinds,
    malformed,
    patching,
    reading,
    subresources,
    updating,
    watching,
    workloads,
)
from scenes import Scene

GOLDENS = Path(__file__).parent / "goldens"
FAMILIES = (
    documents, reading, creating, kinds, updating, patching, applying, deleting, subresources, definitions, access, malformed, watching, workloads,
)  # fmt: skip


def by_hand() -> Iterator[Scene]:
    for family in FAMILIES:
        yield from family.scenes()


def identities(scene: Scene) -> list[str]:
    """Name the requests of a scene that are compared."""
    count = sum(request.method != "SETTLE" for request in scene.requests)
    return [f"{scene.family}/{scene.name}/{index}" for index in range(count)]


def kept() -> Scene:
    """Give the grown requests that lie beside their answers."""
    return grown.as_scene(json.loads((GOLDENS / "grown.requests.json").read_text()))


def everything() -> Iterator[Scene]:
    yield from by_hand()
    yield kept()


def keep(requests: list[Any]) -> None:
    """Write down grown requests."""
    GOLDENS.mkdir(exist_ok=True)
    rows = ",\n".join(json.dumps([one.path, one.body]) for one in requests)
    (GOLDENS / "grown.requests.json").write_text(f"[\n{rows}\n]\n")
