"""Holds the features that an implementation's file declares against a catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_mesh.contracts import Implementation
from pytest_mesh.implementations.findings import Finding
from pytest_mesh.implementations.schema import nearest


def undeclarable(implementation: Implementation, catalogue: Iterable[str]) -> list[Finding]:
    """Give a finding for each declared feature that the catalogue does not have."""
    known = list(catalogue)
    if isinstance(implementation.features, str):
        return []
    return [
        Finding.at(implementation, f"conformance.features[{index}]", f"{name!r} {nearest(name, known)}")
        for index, name in enumerate(implementation.features)
        if name not in known
    ]
