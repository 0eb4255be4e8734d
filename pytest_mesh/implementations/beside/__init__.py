"""Implementations as they are installed beside another one on one cluster, and which file says so.

What belongs here: NAME.toml for each NAME.toml of the directory above. Such a mesh is a revision of its own: it knows
its own namespaces only (``discoverySelectors``), and its objects carry its label. What does not: how two are compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from pytest_mesh.contracts import Implementation

REVISION_LABEL = "istio.io/rev"


def beside(path: Path) -> Path:
    """Give the file ``beside/NAME.toml`` next to NAME.toml where there is one, else the file itself."""
    found = path.parent / "beside" / path.name
    return found if found.is_file() else path


def object_labels(implementation: Implementation) -> dict[str, str]:
    """Give the labels by which a mesh knows an object for its own: the revision's, where its namespaces carry one."""
    revision = implementation.injection_labels.get(REVISION_LABEL)
    return {REVISION_LABEL: revision} if revision else {}


def other(config: pytest.Config, name: str, first: Implementation) -> Implementation:
    """Find and read the implementation of ``--mesh-differential``; raises ``pytest.UsageError``."""
    import pytest

    from pytest_mesh.implementations.choice import choose
    from pytest_mesh.implementations.loader import ImplementationError, UnreadableError, load

    hooked = {
        name: path
        for offered in reversed(config.hook.pytest_mesh_implementations(config=config))
        for name, path in offered.items()
    }
    path = choose(name, flag="--mesh-differential", hooked=hooked, directory=config.invocation_params.dir)
    try:
        found = load(beside(path))
    except (ImplementationError, UnreadableError) as error:
        raise pytest.UsageError(f"--mesh-differential: {error}") from error
    if found.name == first.name:
        raise pytest.UsageError(f"--mesh-differential: {found.name!r} is the implementation itself: name another one")
    if not (object_labels(found) and object_labels(first)):
        wrong = first if object_labels(found) else found
        raise pytest.UsageError(
            f"--mesh-differential: implementation {wrong.name!r} cannot stand beside another: its injection labels name no "
            f"revision ({REVISION_LABEL})"
        )
    return found
