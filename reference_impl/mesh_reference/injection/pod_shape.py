"""Is this a pod at all? The shape of what injection reads and writes, checked before anything else. Pure.

An API server has checked far more; this is for files and for hand-made requests. It
does not judge values, and fields that injection never touches it does not look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mesh_reference.documents import Path, render
from mesh_reference.errors import MeshError


class InjectionError(MeshError):
    """A pod that cannot be injected; ``str()`` says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Map:
    """A map: the fields named here when they are there, and the ``required`` ones in any case."""

    fields: Mapping[str, Any]
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Each:
    """A list of one shape."""

    item: Any


class _Texts:
    """A map from text to text."""


_NAMED = _Map(fields={"name": str}, required=("name",))
_NETWORK = _Map(fields={"port": (int, str), "path": str, "scheme": str}, required=("port",))
_HANDLER = _Map(fields={"httpGet": _NETWORK, "tcpSocket": _NETWORK, "grpc": _NETWORK, "exec": _Map(fields={})})
_CONTAINER = _Map(
    fields={
        "name": str,
        "image": str,
        "args": _Each(item=str),
        "env": _Each(item=_NAMED),
        "ports": _Each(item=_Map(fields={"name": str, "containerPort": int}, required=("containerPort",))),
        "volumeMounts": _Each(item=_NAMED),
        "volumeDevices": _Each(item=_NAMED),
        "securityContext": _Map(fields={}),
        "readinessProbe": _HANDLER,
        "livenessProbe": _HANDLER,
        "startupProbe": _HANDLER,
        "lifecycle": _Map(fields={"preStop": _HANDLER, "postStart": _HANDLER}),
    },
    required=("name",),
)
_OWNER = _Map(fields={"apiVersion": str, "kind": str, "name": str}, required=("apiVersion", "kind", "name"))
_POD = _Map(
    fields={
        "metadata": _Map(
            fields={
                "name": str,
                "generateName": str,
                "namespace": str,
                "labels": _Texts(),
                "annotations": _Texts(),
                "ownerReferences": _Each(item=_OWNER),
            }
        ),
        "spec": _Map(
            fields={
                "containers": _Each(item=_CONTAINER),
                "initContainers": _Each(item=_CONTAINER),
                "volumes": _Each(item=_NAMED),
                "imagePullSecrets": _Each(item=_Map(fields={"name": str})),
            }
        ),
    },
    required=("spec",),
)
_WORDS = {int: "a whole number", str: "text", (int, str): "a number or text"}


def check_pod(pod: Mapping[str, Any]) -> None:
    """Raises `InjectionError` with the first field that is not as a Pod's; a null field counts as unset."""
    problem = next(_problems(pod, _POD, ()), None)
    if problem is not None:
        path, text = problem
        raise InjectionError(f"{render(path) or 'the pod'}{text}")


def _problems(value: Any, wanted: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Places and what is wrong there; paths become text only when they are told."""
    match wanted:
        case _Map():
            if not isinstance(value, dict):
                yield path, ": want a map"
                return
            for name in wanted.required:
                if value.get(name) is None:
                    yield (*path, name), " is missing"
            for name, shape in wanted.fields.items():
                held = value.get(name)
                if held is None or (shape is str and type(held) is str):
                    continue
                yield from _problems(held, shape, (*path, name))
        case _Each():
            if not isinstance(value, list):
                yield path, ": want a list"
                return
            for index, item in enumerate(value):
                yield from _problems(item, wanted.item, (*path, index))
        case _Texts():
            if not isinstance(value, dict):
                yield path, ": want a map"
                return
            for name, item in value.items():
                if not isinstance(item, str):
                    yield (*path, name), f": want text, have {item!r}: write it in quotes"
        case _:
            if not isinstance(value, wanted) or isinstance(value, bool):
                yield path, f": want {_WORDS[wanted]}, have {value!r}"
