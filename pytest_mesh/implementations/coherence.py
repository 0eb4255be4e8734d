"""Rules of an implementation's file that concern several keys at once. Pure: fields in, (path, rule) out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mesh.contracts import REVISION_LABEL
from pytest_mesh.implementations.positions import Path

Broken = tuple[Path, str]

_INJECTION_LABEL = "istio-injection"
_WAYS = ("manifests", "manifests_command", "install")


def incoherent(fields: Mapping[str, Any]) -> Iterator[Broken]:
    """Name what does not fit together. ``fields`` are those of ``contracts.Implementation`` that the file gives."""
    yield from _install(fields)
    yield from _injection(fields)
    yield from _identity(fields)


def _install(fields: Mapping[str, Any]) -> Iterator[Broken]:
    ways = [name for name in _WAYS if name in fields]
    if "already_there" in fields:
        for name in (*ways, *(["remove"] if "remove" in fields else [])):
            yield ("install", name), "does not go with already_there = true: nothing is installed or removed then"
    elif not ways:
        yield (
            ("install",),
            "must say how the mesh gets onto the cluster: manifests, manifests_command, install, or already_there = true",
        )
    namespaces = {name.partition("/")[0] for name in fields.get("ready", ())}
    if len(namespaces) > 1 and "namespace" not in fields:
        yield ("install", "namespace"), f"is required where ready names several ({', '.join(sorted(namespaces))})"


def _injection(fields: Mapping[str, Any]) -> Iterator[Broken]:
    labels = fields.get("injection_labels", {})
    if "revision" in fields:
        for name in (REVISION_LABEL, _INJECTION_LABEL):
            if name in labels:
                yield (
                    ("injection", "labels", name),
                    f"does not go with revision, which labels namespaces {REVISION_LABEL}={fields['revision']}",
                )
    if (labels or "revision" in fields) and "proxy_container" not in fields:
        yield ("injection", "proxy_container"), "is required where labels or revision are given: it tells injected Pods"
    for name in ("pod_opt_out_labels", "init_container", "kube_inject_command"):
        if name in fields and "proxy_container" not in fields:
            yield ("injection", name), "needs proxy_container beside it"
    if "inbound_port" in fields and "exclude_inbound_annotation" not in fields:
        yield (
            ("injection", "exclude_inbound_annotation"),
            "is required where inbound_port is given: it keeps the workloads' control port out of interception",
        )
    command = fields.get("config_dump_command")
    if command and not any("{pod}" in word for word in command):
        yield ("injection", "config_dump_command"), "must name the pod: {pod}, and {namespace}, stand for it"


def _identity(fields: Mapping[str, Any]) -> Iterator[Broken]:
    pair = {"proxy_metadata_annotation": "injection", "svid_ttl_key": "identity"}
    for name, other in (("proxy_metadata_annotation", "svid_ttl_key"), ("svid_ttl_key", "proxy_metadata_annotation")):
        if name in fields and other not in fields:
            yield (pair[name], name), f"has no effect without {pair[other]}.{other}"
