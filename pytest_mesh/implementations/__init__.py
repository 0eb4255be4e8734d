"""Which mesh is judged: data files (TOML), the loader that checks them and the one installer that follows them.

What belongs here: what a file may say, and what the plugin ships. What does
not: knowledge of one mesh in code.
"""

from pathlib import Path

SHIPPED = {name: Path(__file__).parent / f"{name}.toml" for name in ("istio", "none", "reference")}
"""The files that the plugin ships, by name."""
