"""Installs the mutant that ``HARNESS_MUTANT`` names, in every Python process that has this directory on its path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if name := os.environ.get("HARNESS_MUTANT"):
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import patching

    patching.install(patching.load()[name])
    sys.path.pop(0)

    class First(list):  # type: ignore[type-arg]
        """Finders of which the first one stays: pytest puts its own, that rewrites plugins' asserts, before all others."""

        def insert(self, index: int, item: object) -> None:  # type: ignore[override]
            """Put a finder in, the mutant's before it."""
            super().insert(max(1, index), item)

    sys.meta_path = First(sys.meta_path)
