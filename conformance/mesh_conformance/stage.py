"""Namespaces that the checks of one room share, each check with a record of its own; and namespaces beside the test's.

A meshed pod takes a second or two to start, so a room starts its workloads once.
It knows no feature and it judges nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.keys import RECORDS, RUN
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.record import Record
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.client import Client


class SharedNamespace:
    """A namespace that is lent to one check after the other, with the clients in it."""

    def __init__(self, namespace: MeshNamespace, lent: list[pytest.Item]) -> None:
        self.namespace = namespace
        self.clients: dict[str, Client] = {}
        """The room's clients by name; they write where the namespace writes."""
        self._lent = lent

    def lend(self, item: pytest.Item) -> MeshNamespace:
        """Give the namespace to a check: what happens in it from here on is written in that check's record."""
        state = item.stash[RECORDS]
        # Namespace and clients keep the record that they were made with, so it stays and its pages change.
        self.namespace.record.applied = state.record.applied
        self.namespace.record.transcript = state.record.transcript
        self.namespace.record.evidence = state.record.evidence
        state.namespaces.append(self.namespace)
        self._lent.append(item)
        return self.namespace


@contextmanager
def shared_namespace(
    mesh: RunningMesh, settings: MeshSettings, config: pytest.Config, *, room: Path, inject: bool = True
) -> Iterator[SharedNamespace]:
    """Make the namespace of a room; ``room`` is the directory of its checks and of their YAML."""
    run = config.stash[RUN]
    lent: list[pytest.Item] = []

    def keep() -> bool:
        return run.options.keep == "always" or any(run.keeps(item) for item in lent)

    name = f"mesh-{room.name}{'' if inject else '-plain'}-{secrets.token_hex(3)}"
    with mesh.namespace(name, settings=settings, record=Record(), inject=inject, bases=(room,), keep=keep) as namespace:
        yield SharedNamespace(namespace, lent)


@contextmanager
def own_namespace(
    request: pytest.FixtureRequest, mesh: RunningMesh, settings: MeshSettings, *, purpose: str, inject: bool = True
) -> Iterator[MeshNamespace]:
    """Make one more namespace for one check; it is kept and saved as the check's own one is."""
    item = request.node
    state = item.stash[RECORDS]
    run = request.config.stash[RUN]
    with mesh.namespace(
        f"mesh-{purpose}-{secrets.token_hex(3)}",
        settings=settings,
        record=state.record,
        inject=inject,
        bases=(item.path.parent,),
        keep=lambda: run.keeps(item),
    ) as namespace:
        state.namespaces.append(namespace)
        yield namespace
