"""Where the few packages are that a workload imports when it first needs them: it starts without site packages.

``MESH_PACKAGES`` names their folders; an image has them beside this package.
"""

from __future__ import annotations

import os
import sys

NAMES = ("h2", "wsproto")
"""Distributions that are needed, with all that they require."""
VARIABLE = "MESH_PACKAGES"


def reachable() -> None:
    """Make the packages importable; what is importable already stays as it is."""
    for folder in os.environ.get(VARIABLE, "").split(os.pathsep):
        if folder and folder not in sys.path:
            sys.path.append(folder)
