"""Reads what a namespace holds: objects, pods, trust anchors; and what offline injection makes. It changes nothing."""

from __future__ import annotations

import base64
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_mesh import documents, readiness
from pytest_mesh.contracts import Implementation, Json
from pytest_mesh.failures import Infrastructure, MeshFailure, NotConverged, hidden
from pytest_mesh.keys import NOT_APPLICABLE
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.progress import SILENT, Monitor, Status

__tracebackhide__ = hidden

T = TypeVar("T")

_POLL_SECONDS = 0.05
_COMMAND_SECONDS = 60.0


def need(implementation: Implementation, *keys: str) -> None:
    """End the test as not applicable where the implementation's file leaves one of these keys empty."""
    for key in keys:
        if not hasattr(implementation, key):
            raise ValueError(f"{key!r} is no key of an implementation")
        value = getattr(implementation, key)
        if not value or (isinstance(value, tuple) and not all(value)):
            pytest.skip(f"{NOT_APPLICABLE}implementation {implementation.name!r} names no {key}")


def find(kube: Kube, api_version: str, kind: str, name: str, namespace: str) -> Json | None:
    """Give one object, or None; a kind that is not served is an error. Raises ``Infrastructure``."""
    try:
        return kube.find(kube.resource(api_version, kind).path(namespace, name))
    except KubeError as error:
        raise Infrastructure(f"{kind} {namespace}/{name}: {error}") from error


def get(kube: Kube, api_version: str, kind: str, name: str, namespace: str) -> Json:
    """Give one object; raises ``MeshFailure`` when it is absent."""
    found = find(kube, api_version, kind, name, namespace)
    if found is None:
        raise MeshFailure(f"{kind} {namespace}/{name} is not there")
    return found


def pods(kube: Kube, namespace: str, **labels: str) -> list[Json]:
    """Give a namespace's Pods, those on their way out left out; ``labels`` select."""
    selector = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
    listed = kube.list(f"/api/v1/namespaces/{namespace}/pods", **selector)
    return [pod for pod in listed if not pod["metadata"].get("deletionTimestamp")]


def pod(kube: Kube, namespace: str, name: str, **labels: str) -> Json:
    """Give the one Ready Pod with label ``app=name``, or the Pod of that very name; raises ``MeshFailure``."""
    found = [one for one in pods(kube, namespace, app=name, **labels) if readiness.is_ready(one)]
    if not found:
        found = [one for one in pods(kube, namespace, **labels) if one["metadata"]["name"] == name]
    if len(found) != 1:
        have = ", ".join(one["metadata"]["name"] for one in found) or "none"
        raise MeshFailure(f"namespace {namespace}: one Ready pod {name!r} is wanted, there are: {have}")
    return found[0]


def trust_bundle(kube: Kube, implementation: Implementation, namespace: str) -> str:
    """Give the PEM of the published trust bundle; raises ``MeshFailure`` while it is not there."""
    name, key = implementation.root_config_map
    found = find(kube, "v1", "ConfigMap", name, namespace)
    if found is None:
        there = ", ".join(sorted(_names(kube, f"/api/v1/namespaces/{namespace}/configmaps"))) or "none"
        raise MeshFailure(f"there is no ConfigMap {name} (there are: {there})")
    text = str((found.get("data") or {}).get(key, ""))
    if not text:
        has = ", ".join(sorted(found.get("data") or {})) or "none"
        raise MeshFailure(f"ConfigMap {name} has no key {key!r} (it has: {has})")
    return text


def root_certificate(kube: Kube, implementation: Implementation) -> str:
    """Give the PEM of the root in its Secret; raises ``MeshFailure`` when it is not there."""
    namespace, name, key = implementation.root_secret
    found = find(kube, "v1", "Secret", name, namespace)
    told = f"named by {implementation.where('identity.root_secret')}"
    if found is None:
        raise MeshFailure(f"Secret {namespace}/{name} is not there ({told})")
    data = found.get("data") or {}
    if key not in data:
        raise MeshFailure(
            f"Secret {namespace}/{name} has no key {key!r}, {told} (it has: {', '.join(sorted(data)) or 'none'})"
        )
    return base64.b64decode(data[key]).decode()


def _names(kube: Kube, path: str) -> list[str]:
    return [str(one["metadata"]["name"]) for one in kube.list(path)]


def kube_inject(implementation: Implementation, found: Sequence[Json], kubeconfig: Path) -> list[Json]:
    """Give what the implementation's offline injection makes of documents; raises ``MeshFailure``."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "documents.yaml")
        path.write_text(documents.write(*found))
        command = [*implementation.kube_inject_command, "-f", str(path)]
        try:
            done = subprocess.run(
                command,
                env={**os.environ, "KUBECONFIG": str(kubeconfig)},
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Infrastructure(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise MeshFailure(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return documents.parse(done.stdout, source="output of kube-inject")


def eventually(condition: Callable[[], T], what: str, *, seconds: float, monitor: Monitor = SILENT) -> T:
    """Call ``condition`` until it gives something true; give that. A failed assertion counts as not yet.

    Raises ``NotConverged`` with ``what`` and the last value when the budget is out.
    """
    started = time.monotonic()
    deadline = started + seconds
    while True:
        last: Any
        monitor.show(Status(phase=f"waits for {what}", budget=seconds))
        try:
            value = condition()
            if value:
                monitor.waited(what, time.monotonic() - started)
                return value
            last = repr(value)
        except AssertionError as error:
            last = str(error) or "an assertion failed"
        if time.monotonic() > deadline:
            raise NotConverged(f"{what}: not within {seconds:g} s (last: {last[:300]})")
        time.sleep(_POLL_SECONDS)
