"""A user's documents from where they are: a folder, files, text or plain data; each with the name of its origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mesh import documents, sources
from pytest_mesh.contracts import Json

SUFFIXES = (".yaml", ".yml", ".json")
_TEMPLATES = {
    "kustomization.yaml": "kustomize build",
    "kustomization.yml": "kustomize build",
    "Chart.yaml": "helm template",
}
"""Files beside which others are no documents yet, and what makes them some."""


def gathered(source: Any, bases: Sequence[Path]) -> list[tuple[Json, str]]:
    """Give every document of a source, each with its file (empty for text and data); none twice.

    Raises ``documents.DocumentError``.
    """
    found: list[tuple[Json, str]] = list(_read(source, bases))
    seen: dict[tuple[str, str, str, str], str] = {}
    for document, file in found:
        metadata = document["metadata"]
        group = str(document["apiVersion"]).partition("/")[0]
        key = (group, document["kind"], str(metadata.get("namespace") or ""), metadata["name"])
        if key in seen:
            raise documents.DocumentError(
                f"{file or 'text'}: {document['kind']} {metadata['name']} stands in {seen[key] or 'text'} too: which one counts?"
            )
        seen[key] = file
    return found


def _read(source: Any, bases: Sequence[Path]) -> Iterator[tuple[Json, str]]:
    if isinstance(source, str | Path):
        folder = _folder(source, bases)
        if folder is not None:
            yield from _files(folder)
            return
    if isinstance(source, Sequence) and not isinstance(source, str):
        for item in source:
            if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], Mapping):
                yield dict(item[0]), str(item[1])
            else:
                yield from _read(item, bases)
        return
    yield from ((document, "" if name in {"text", "data"} else name) for document, name in sources.read(source, bases))


def _folder(source: str | Path, bases: Iterable[Path]) -> Path | None:
    if isinstance(source, str) and any(mark in source for mark in "\n{"):
        return None  # YAML text
    return next((base / source for base in bases if (base / source).is_dir()), None)


def _files(folder: Path) -> Iterator[tuple[Json, str]]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    for path in paths:
        if path.name in _TEMPLATES:
            raise documents.DocumentError(
                f"{path}: what lies beside it is not applied as it stands; give the output of `{_TEMPLATES[path.name]}`"
            )
    if not paths:
        raise documents.DocumentError(f"{folder}: no file ends in {', '.join(SUFFIXES)}")
    for path in paths:
        yield from ((document, path.relative_to(folder).as_posix()) for document in documents.read(path))
