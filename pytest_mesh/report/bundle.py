"""Saves what a failure leaves behind, before anything is cleaned up: mode 0600, with secrets taken out."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_mesh import documents
from pytest_mesh.contracts import Cluster, Implementation, Json
from pytest_mesh.implementations import commands
from pytest_mesh.kube import Kube
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.report import explaining
from pytest_mesh.report.redaction import redact, redact_text, without

_log = logging.getLogger(__name__)

_COMMAND_SECONDS = 30.0
_CONTROL_PLANE_LINES = 2000


def directory_of(root: Path, check: str) -> Path:
    """Give the directory of one check's evidence below ``root``: file and test, and what tells equal names apart."""
    name = re.sub(r"[^A-Za-z0-9._]+", "-", check.rpartition("/")[2].replace(".py::", "-")).strip("-.")
    return root / f"{name[:120] or 'check'}-{hashlib.sha256(check.encode()).hexdigest()[:6]}"


def save(
    root: Path, check: str, failure: str, namespaces: list[MeshNamespace], secrets: frozenset[str] = frozenset()
) -> Path:
    """Write everything that can be had; what cannot is said in its place. Never raises for the cluster's sake.

    Besides what looks like a secret, the values of Secrets that the namespaces' tests
    applied or read are taken out, and ``secrets``.
    """
    hidden = secrets.union(*(namespace.record.secrets for namespace in namespaces))
    directory = directory_of(root, check)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _Writer(directory, hidden).write("failure.txt", redact_text(failure))
    for namespace in namespaces:
        below = directory / namespace.name
        below.mkdir(exist_ok=True, mode=0o700)
        _save_namespace(_Writer(below, hidden), namespace)
    return directory


def save_backend(below: Path, cluster: Cluster) -> Path:
    """Have the backend write its own logs, and take secrets out of them; once for a run, for they are large."""
    shutil.rmtree(below, ignore_errors=True)  # an earlier run's
    below.mkdir(parents=True, mode=0o700)
    cluster.collect(below)
    for path in sorted(below.rglob("*")):
        if path.is_file():
            text = redact_text(path.read_text(errors="replace"))
            _Writer(path.parent, frozenset()).write(path.name, text)
            path.chmod(0o600)
    return below


def _save_namespace(below: _Writer, namespace: MeshNamespace) -> None:
    record = namespace.record
    if record.applied:
        below.write("applied.yaml", documents.write(*(redact(one) for one in record.applied)))
    if record.transcript:
        lines = [json.dumps(redact(entry)) for entry in record.transcript]
        if record.dropped:
            lines.append(json.dumps({"dropped": record.dropped}))
        below.write("transcript.jsonl", "\n".join(lines) + "\n")
    below.attempt(
        "explanation.txt",
        lambda: redact_text(explaining.explain(namespace.standing, namespace.name, record.transcript)),
        empty=False,
    )
    events = f"/api/v1/namespaces/{namespace.name}/events"
    below.attempt("events.txt", lambda: _events(namespace.kube.list(events)))
    pods: list[Json] = []

    def read_pods() -> str:
        pods.extend(namespace.pods())
        return documents.write(*(redact(one) for one in pods))

    below.attempt("pods.yaml", read_pods)
    for pod in pods:
        _save_pod(below, namespace, pod)


def _save_pod(below: _Writer, namespace: MeshNamespace, pod: Json) -> None:
    name = pod["metadata"]["name"]
    spec = pod["spec"]
    containers = [one["name"] for one in (*(spec.get("initContainers") or ()), *spec["containers"])]
    for container in containers:
        below.attempt(
            f"{name}-{container}.log",
            lambda container=container: redact_text(namespace.logs(name, container)),  # type: ignore[misc]
        )
    implementation = namespace.implementation
    if implementation.proxy_container not in containers:
        return
    if implementation.config_dump_command:
        below.attempt(f"{name}-config-dump.json", lambda: _told_by_command(namespace, name))
    elif implementation.admin_port:
        below.attempt(
            f"{name}-config-dump.json",
            lambda: json.dumps(redact(namespace.proxy(name).config_dump()), indent=1),
        )
    if implementation.admin_port:
        below.attempt(f"{name}-config-diff.txt", lambda: redact_text(namespace.changes(name)), empty=False)


def _told_by_command(namespace: MeshNamespace, pod: str) -> str:
    """Give what the implementation's own command says of a proxy's configuration: JSON, or whatever text it prints."""
    command = [
        argument.replace("{pod}", pod).replace("{namespace}", namespace.name)
        for argument in namespace.implementation.config_dump_command
    ]
    text = commands.run(command, namespace.cluster.kubeconfig, seconds=_COMMAND_SECONDS)
    try:
        return json.dumps(redact(json.loads(text)), indent=1)
    except json.JSONDecodeError:
        return redact_text(text)


def save_control_plane(below: Path, kube: Kube, implementation: Implementation) -> None:
    """Write the last lines of every log of the control plane's namespace, and its events; what cannot be had is said."""
    namespace = implementation.namespace
    if not namespace:
        return
    directory = below / "control-plane"
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    writer = _Writer(directory, frozenset())
    writer.attempt("events.txt", lambda: _events(kube.list(f"/api/v1/namespaces/{namespace}/events")))
    pods: list[Json] = []

    def read_pods() -> str:
        pods.extend(kube.list(f"/api/v1/namespaces/{namespace}/pods"))
        return documents.write(*(redact(one) for one in pods))

    writer.attempt("pods.yaml", read_pods)
    for pod in pods:
        name = pod["metadata"]["name"]
        for container in (one["name"] for one in pod["spec"]["containers"]):
            writer.attempt(
                f"{name}-{container}.log",
                lambda name=name, container=container: redact_text(  # type: ignore[misc]
                    kube.logs(namespace, name, container, lines=_CONTROL_PLANE_LINES)
                ),
            )


def _events(events: list[Any]) -> str:
    lines = [
        f"{event.get('lastTimestamp') or event.get('eventTime') or ''} {event.get('type', '')} "
        f"{(event.get('involvedObject') or {}).get('kind', '')}/{(event.get('involvedObject') or {}).get('name', '')} "
        f"{event.get('reason', '')}: {event.get('message', '')}"
        for event in events
    ]
    return redact_text("\n".join(lines) + "\n")


class _Writer:
    """Writes files of one directory, mode 0600, without the run's own secrets."""

    def __init__(self, directory: Path, hidden: frozenset[str]) -> None:
        self._directory = directory
        self._hidden = hidden

    def attempt(self, name: str, read: Callable[[], str], *, empty: bool = True) -> None:
        """Write what ``read`` gives, or why it could give nothing; ``empty=False`` makes no file of no text."""
        try:
            text = read()
        except Exception as error:  # noqa: BLE001 - evidence that cannot be had must not hide the failure
            _log.debug("bundle: %s: %s", name, error)
            text = redact_text(f"could not be read: {error}\n")
        if text or empty:
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        """Write a file anew."""
        descriptor = os.open(self._directory / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(without(text, self._hidden))
