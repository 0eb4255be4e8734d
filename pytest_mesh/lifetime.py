"""A namespace's life: made (an old one of that name gone first), removed without waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pytest_mesh.failures import Infrastructure, hidden
from pytest_mesh.kube import Kube, KubeError

__tracebackhide__ = hidden

_log = logging.getLogger(__name__)

GONE_SECONDS = 60.0
OWNER_LABEL = "pytest-mesh.dev/owned"
PROTECTED = frozenset({"default", "kube-system", "kube-public", "kube-node-lease", "istio-system"})


@contextmanager
def made_namespace(kube: Kube, name: str, labels: Mapping[str, str], *, keep: Callable[[], bool]) -> Iterator[None]:
    """Make a namespace for the time of the block; raises ``Infrastructure``.

    A namespace of that name is removed first when this plugin made it, and an
    error otherwise.
    """
    path = f"/api/v1/namespaces/{name}"
    if name in PROTECTED:
        raise Infrastructure(f"namespace {name!r} is the cluster's own and cannot be a test's")
    try:
        _remove_old(kube, path, name)
        kube.create(
            "/api/v1/namespaces",
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": name, "labels": {OWNER_LABEL: "true", **labels}},
            },
        )
    except KubeError as error:
        raise Infrastructure(f"namespace {name!r} cannot be made: {error.message}") from error
    try:
        yield
    finally:
        if not keep():
            try:
                kube.delete(path)
            except (KubeError, Infrastructure) as error:
                _log.warning("namespace %s is left behind: %s", name, error)


def _remove_old(kube: Kube, path: str, name: str) -> None:
    found = kube.find(path)
    if found is None:
        return
    if (found["metadata"].get("labels") or {}).get(OWNER_LABEL) != "true":
        raise Infrastructure(f"namespace {name!r} exists and is not this plugin's: choose another name or remove it")
    kube.delete(path)
    deadline = time.monotonic() + GONE_SECONDS
    while kube.find(path) is not None:
        if time.monotonic() > deadline:
            raise Infrastructure(f"namespace {name!r} of an earlier test is not gone after {GONE_SECONDS:g} s")
        time.sleep(0.05)
