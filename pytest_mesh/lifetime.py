"""A namespace's life: made (an old one of that name gone first), removed without waiting."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure, hidden
from pytest_mesh.kube import Kube, KubeError

__tracebackhide__ = hidden

_log = logging.getLogger(__name__)

GONE_SECONDS = 60.0
OWNER_LABEL = "pytest-mesh.dev/owned"
RUN_LABEL = "pytest-mesh.dev/run"
"""Label of all that one run made; only what carries it does that run remove."""
PROTECTED = frozenset({"default", "istio-system", "pytest-mesh"})
_PROTECTED_BEGINNINGS = ("kube-", "openshift-")


@contextmanager
def made_namespace(kube: Kube, name: str, labels: Mapping[str, str], *, keep: Callable[[], bool]) -> Iterator[None]:
    """Make a namespace for the time of the block; raises ``Infrastructure``.

    A namespace of that name is removed first when this plugin made it, and an
    error otherwise; on a cluster that is not the run's own it is always an error.
    """
    path = f"/api/v1/namespaces/{name}"
    if name in PROTECTED or name.startswith(_PROTECTED_BEGINNINGS):
        raise Infrastructure(f"namespace {name!r} is the cluster's own and cannot be a test's")
    tenancy = kube.tenancy
    metadata: dict[str, Any] = {"name": name, "labels": {**labels, OWNER_LABEL: "true"}}
    if tenancy is not None:
        metadata["labels"] |= tenancy.labels()
        metadata["annotations"] = dict(tenancy.annotations())
    try:
        _remove_old(kube, path, name, others=tenancy is not None)
        made = kube.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    except KubeError as error:
        raise Infrastructure(f"namespace {name!r} cannot be made: {error.message}") from error
    try:
        if tenancy is not None:
            tenancy.settle(name)
        yield
    finally:
        kept = keep()
        if tenancy is not None:
            tenancy.leave(name, kept=kept)
        if not kept:
            try:
                remove(kube, made)
            except (KubeError, Infrastructure) as error:
                _log.warning("namespace %s is left behind: %s", name, error)


def remove(kube: Kube, namespace: Json) -> None:
    """Remove this very namespace: not another that got its name, and not one whose label was taken off meanwhile."""
    metadata = namespace["metadata"]
    path = f"/api/v1/namespaces/{metadata['name']}"
    found = kube.find(path)
    if found is None or _run_of(found) != _run_of(namespace):
        return
    uid = metadata.get("uid")
    body = {"apiVersion": "v1", "kind": "DeleteOptions", **({"preconditions": {"uid": uid}} if uid else {})}
    try:
        kube.request("DELETE", path, body=body)
    except KubeError as error:
        if error.status not in {404, 409}:  # gone, or another one: neither is ours
            raise


def _run_of(namespace: Json) -> str:
    return str((namespace["metadata"].get("labels") or {}).get(RUN_LABEL, ""))


def _remove_old(kube: Kube, path: str, name: str, *, others: bool) -> None:
    found = kube.find(path)
    if found is None:
        return
    if others or (found["metadata"].get("labels") or {}).get(OWNER_LABEL) != "true":
        raise Infrastructure(f"namespace {name!r} exists and is not this plugin's: choose another name or remove it")
    kube.delete(path)
    deadline = time.monotonic() + GONE_SECONDS
    while kube.find(path) is not None:
        if time.monotonic() > deadline:
            raise Infrastructure(f"namespace {name!r} of an earlier test is not gone after {GONE_SECONDS:g} s")
        time.sleep(0.05)
