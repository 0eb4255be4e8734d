"""YAML in and out: the one module of the plugin that imports PyYAML. It knows no kind of document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pytest_mesh.contracts import Json

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class DocumentError(ValueError):
    """Text that is no YAML, or YAML that is no document; the message names the source and the place."""


def load(text: str, *, source: str = "text") -> Any:
    """Read one YAML document, whatever it is."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise DocumentError(f"{source}: not YAML: {' '.join(str(error).split())}") from error


def parse(text: str, *, source: str = "text") -> list[Json]:
    """Read every document of ``text``; kind ``List`` is opened, empty documents are left out."""
    try:
        loaded = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise DocumentError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    documents: list[Json] = []
    for number, document in enumerate(loaded, start=1):
        if document is None:
            continue
        if not isinstance(document, dict):
            raise DocumentError(f"{source}, document {number}: a mapping is wanted, not {type(document).__name__}")
        if document.get("kind") == "List":
            documents.extend(document.get("items") or [])
        else:
            documents.append(document)
    for number, document in enumerate(documents, start=1):
        for field in ("apiVersion", "kind"):
            if not document.get(field):
                raise DocumentError(f"{source}, document {number}: {field} is missing")
        if not (document.get("metadata") or {}).get("name"):
            raise DocumentError(f"{source}, document {number} ({document['kind']}): metadata.name is missing")
    return documents


def read(path: Path) -> list[Json]:
    """Read every document of a file."""
    try:
        return parse(path.read_text(), source=str(path))
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}") from error


def write(*documents: Any) -> str:
    """Give documents as YAML, in their keys' own order."""
    return str(yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
