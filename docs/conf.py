"""Sphinx: the pages of docs/ as a site (``make docs``). Warnings are errors."""

import tomllib
from pathlib import Path

_ROOT = Path(__file__).parent.parent
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]

project = "pytest-mesh"
author = copyright = "The pytest-mesh developers"  # noqa: A001 - Sphinx's name
version = release = _PROJECT["version"]
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "requirements.txt"]
html_theme = "furo"
html_title = f"pytest-mesh {version}"
nitpicky = True
