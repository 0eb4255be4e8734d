"""A user's container named like an injected one, laid over the template: the user's fields win.

It follows Kubernetes' strategic merge: lists with a key are merged by it, other
lists are replaced, maps are merged. It knows which fields have keys and nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_KEYS = {
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
}
_HANDLERS = frozenset({"exec", "httpGet", "tcpSocket", "grpc", "sleep"})
AUTO_IMAGE = "auto"
"""The image a user writes who wants the injected one: the field is required."""


def overlay_container(template: Mapping[str, Any], own: Mapping[str, Any]) -> Json:
    """A new container: the template's, with everything that the user's says instead."""
    result = copy.deepcopy(dict(template))
    for name, value in own.items():
        if name == "image" and value in {AUTO_IMAGE, ""}:
            continue
        if name in _KEYS:
            result[name] = _merge_list(result.get(name) or [], value or [], _KEYS[name])
        else:
            result[name] = _merge(result.get(name), value)
    return result


def without_auto_image(own: Mapping[str, Any]) -> Json:
    """The user's container as it is kept for a later injection."""
    kept = copy.deepcopy(dict(own))
    if kept.get("image") in {AUTO_IMAGE, ""}:
        del kept["image"]
    return kept


def _merge(base: Any, over: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return copy.deepcopy(over)
    result = dict(base)
    if _HANDLERS & over.keys():  # a probe or hook has one handler: the user's takes the template's place
        result = {name: value for name, value in base.items() if name not in _HANDLERS}
    for name, value in over.items():
        result[name] = _merge(result.get(name), value)
    return result


def _merge_list(base: list[Json], over: list[Json], keys: tuple[str, ...]) -> list[Json]:
    def key_of(item: Json) -> tuple[Any, ...]:
        return tuple(item.get(key, "TCP" if key == "protocol" else None) for key in keys)

    replaced = {key_of(item): item for item in over}
    result = [copy.deepcopy(replaced.pop(key_of(item), item)) for item in base]
    return [*result, *copy.deepcopy(list(replaced.values()))]
