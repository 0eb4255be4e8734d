"""Under which names a cluster with a registry pulls the harness's images, and documents rewritten to them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pytest_mesh import __version__
from pytest_mesh.contracts import Json

_PODS: Final = {"Pod": ("spec",)}
_TEMPLATES: Final = ("spec", "template", "spec")


def pulled(name: str, registry: str, tag: str) -> str:
    """Give an image's name in the registry; ``tag`` empty = this package's version, ``registry`` empty = as it is."""
    return f"{registry}/{untagged(name)}:{tag or __version__}" if registry else name


def untagged(name: str) -> str:
    """Give a name without its tag."""
    head, colon, tail = name.rpartition(":")
    return head if colon and "/" not in tail else name


def table(names: Iterable[str], registry: str, tag: str) -> dict[str, str]:
    """Give each image's name in the registry by its own; empty without a registry."""
    return {name: pulled(name, registry, tag) for name in names} if registry else {}


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """Give a document, or any part of one, with image names replaced wherever they stand, inside texts too."""
    if isinstance(value, str):
        for name, other in names.items():
            value = re.sub(rf"(?<![\w./-]){re.escape(untagged(name))}(:[\w.-]+)?(?![\w./-])", other, value)
        return value
    if isinstance(value, Mapping):
        return {key: renamed(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [renamed(one, names) for one in value]
    return value


def with_pull_secret(document: Json, secret: str) -> Json:
    """Give a workload's document whose pods pull by a Secret of their namespace; other kinds stay as they are."""
    path = _PODS.get(document["kind"], _TEMPLATES)
    spec: Any = document
    for key in path:
        spec = spec.get(key) if isinstance(spec, Mapping) else None
    if not isinstance(spec, Mapping) or "containers" not in spec:
        return document
    listed = [*(spec.get("imagePullSecrets") or ())]
    changed = {**spec, "imagePullSecrets": [*(one for one in listed if one["name"] != secret), {"name": secret}]}
    return _put(document, path, changed)


def _put(value: Json, path: tuple[str, ...], inner: Json) -> Json:
    if not path:
        return inner
    return {**value, path[0]: _put(value[path[0]], path[1:], inner)}
