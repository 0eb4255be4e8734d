"""Which mesh is judged: data files (TOML), the loader that checks them and the one installer that follows them.

What belongs here: what a file may say, and what the plugin ships. What does
not: knowledge of one mesh in code.
"""

import os
from pathlib import Path

_HERE = Path(__file__).parent

SHIPPED = {
    # Programs need no registry; without them there are Istio's released images.
    "istio": _HERE / ("istio.toml" if os.environ.get("MESH_ISTIO_BIN") else "istio-released.toml"),
    "none": _HERE / "none.toml",
    "reference": _HERE / "reference.toml",
}
"""The files that the plugin ships, by name."""
