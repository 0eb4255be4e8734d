"""Builds images with Docker, once per content hash, and loads them into a cluster's nodes, once per cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from pytest_mesh.clusters.kind import recipes, state
from pytest_mesh.clusters.kind.packages import PYTHON
from pytest_mesh.clusters.kind.programs import KindError, follow, output
from pytest_mesh.clusters.kind.recipes import Tree
from pytest_mesh.contracts import Image, Progress

LABEL: Final = "dev.pytest-mesh.content"
"""Label of an image that says which content it was built from."""
LAYER: Final = "pytest-mesh/packages"
"""Images of installed packages, tagged by content: what the images of one implementation are built on."""
_LOAD_SECONDS: Final = 600.0
_PULL_SECONDS: Final = 600.0
_BUILD_ENV: Final = {
    # The builder that puts its result among Docker's images, and no attestations: `kind load` wants one plain image.
    "BUILDX_BUILDER": "default",
    "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    "BUILDKIT_PROGRESS": "plain",
}


def base_image() -> str:
    """Give the image that ours are built on: MESH_IMAGE_BASE, else Python of this interpreter's version."""
    return os.environ.get("MESH_IMAGE_BASE") or f"python:{PYTHON}-slim"


def build(images: Mapping[str, Image], progress: Progress) -> dict[str, str]:
    """Build what is not built yet; give each image's id. Raises KindError."""
    base = base_image()
    base_id = _id(base)
    if not base_id:
        progress(f"cluster: docker pulls {base} (MESH_IMAGE_BASE names another)")
        try:
            output("docker", "pull", "--quiet", base, seconds=_PULL_SECONDS)
        except KindError as error:
            raise KindError(f"base image {base}: {error}; name one that is there by MESH_IMAGE_BASE") from error
        base_id = _id(base)
    ids: dict[str, str] = {}
    for name, image in sorted(images.items()):
        one = recipes.recipe(name, image)
        on, on_id = base, base_id
        if one.below.files:
            digest = recipes.digest(base_id, one.below)
            on = f"{LAYER}:{digest[:20]}"
            on_id = _build(on, one.below, "", digest, base, progress)
        ids[name] = _build(name, one.tree, one.tail, recipes.digest(on_id, one.tree, one.tail), on, progress)
    return ids


def load(cluster: str, directory: Path, ids: Mapping[str, str], progress: Progress) -> None:
    """Load the images that the cluster's nodes do not hold yet. Raises KindError."""
    loaded = state.loaded(directory)
    missing = sorted(name for name, one in ids.items() if loaded.get(name) != one)
    if not missing:
        return
    began = time.monotonic()
    progress(f"cluster: loading {', '.join(missing)}")
    output("kind", "load", "docker-image", "--name", cluster, *missing, seconds=_LOAD_SECONDS)
    state.write_loaded(directory, {**loaded, **{name: ids[name] for name in missing}})
    progress(f"cluster: images loaded in {time.monotonic() - began:.1f} s")


def _build(name: str, tree: Tree, tail: str, digest: str, base: str, progress: Progress) -> str:
    if _inspect(name, f'{{{{index .Config.Labels "{LABEL}"}}}}') == digest:
        return _id(name)
    began = time.monotonic()
    what = "what images share" if name.startswith(f"{LAYER}:") else f"image {name}"
    progress(f"cluster: building {what} on {base} ({tree.size / 1e6:.0f} MB)")
    arguments = ["--tag", name, "--label", f"{LABEL}={digest}"]
    arguments += ["--build-arg", f"BASE={base}", "--build-arg", f"PYTHON={tree.python}"]
    try:
        follow(
            ["docker", "build", *arguments, "-"],
            lambda _: None,
            feed=partial(recipes.write_context, tail=tail, tree=tree),
            env=_BUILD_ENV,
        )
    except KindError as error:
        raise KindError(f"image {name} cannot be built on {base}: {error}") from error
    progress(f"cluster: {what} built in {time.monotonic() - began:.1f} s")
    return _id(name)


def _id(name: str) -> str:
    return _inspect(name, "{{.Id}}")


def _inspect(name: str, template: str) -> str:
    """Give one fact of an image; empty where there is no such image."""
    try:
        return output("docker", "image", "inspect", "--format", template, name).strip()
    except KindError:
        return ""
