"""Is a manifest of Kubernetes' own kinds shaped as an API server would take it? Only what these commands read of it. Pure.

Istio's kinds are Galley's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.injection.workloads import injectable_kinds

if TYPE_CHECKING:
    from mesh_reference.documents import Path

Finding = tuple["Path", str]
Check = Callable[[Any, "Path"], Iterator[Finding]]


def problem(value: Mapping[str, Any]) -> Finding | None:
    """The first field of the object that has another type than it must have, and which that is."""
    return next(_problems(value), None)


def _problems(value: Mapping[str, Any]) -> Iterator[Finding]:
    if not isinstance(value.get("metadata"), dict):
        yield ("metadata",), "must be an object"
        return
    yield from _METADATA(value["metadata"], ("metadata",))
    version, kind = str(value.get("apiVersion")), str(value.get("kind"))
    place = injectable_kinds().get((version, kind))
    if kind in _KINDS and version == _KINDS[kind][0]:
        yield from _map({"spec": _KINDS[kind][1], **_KINDS[kind][2]})(value, ())
    elif place is not None:
        check = _map({"metadata": _LABELS, "spec": _POD_SPEC})
        for part in reversed(place):
            check = _map({part: check})
        yield from check(value, ())


def _text(value: Any, path: Path) -> Iterator[Finding]:
    if value is not None and not isinstance(value, str):
        yield path, "must be text"


def _number(value: Any, path: Path) -> Iterator[Finding]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield path, "must be a number"


def _port(value: Any, path: Path) -> Iterator[Finding]:
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, str))):
        yield path, "must be a number or a port's name"


def _map(fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    def check(value: Any, path: Path) -> Iterator[Finding]:
        if value is None and not required:
            return
        if not isinstance(value, dict):
            yield path, "must be an object"
            return
        for name, inner in fields.items():
            if name in required or value.get(name) is not None:
                yield from inner(value.get(name), (*path, name))

    return check


def _texts(value: Any, path: Path) -> Iterator[Finding]:
    if not isinstance(value, dict):
        yield path, "must be an object"
        return
    for name, item in value.items():
        if not isinstance(item, str):
            yield (*path, name), "must be text"


def _list(inner: Check) -> Check:
    def check(value: Any, path: Path) -> Iterator[Finding]:
        if not isinstance(value, list):
            yield path, "must be a list"
            return
        for index, item in enumerate(value):
            if item is None:
                yield (*path, index), "must not be empty"
            else:
                yield from inner(item, (*path, index))

    return check


_LABELS = _map({"labels": _texts, "annotations": _texts})
_METADATA = _map(
    {
        "name": _text, "generateName": _text, "namespace": _text, "labels": _texts, "annotations": _texts, "uid": _text,
        "creationTimestamp": _text,
    }
)  # fmt: skip
_CONTAINERS = _list(
    _map({"name": _text, "ports": _list(_map({"name": _text, "containerPort": _number})), "securityContext": _map({})})
)
_POD_SPEC = _map(
    {"containers": _CONTAINERS, "initContainers": _CONTAINERS, "serviceAccountName": _text, "nodeName": _text, "securityContext": _map({})}
)  # fmt: skip
_SERVICE_SPEC = _map(
    {
        "selector": _texts,
        "clusterIP": _text,
        "clusterIPs": _list(_text),
        "externalName": _text,
        "type": _text,
        "trafficDistribution": _text,
        "ports": _list(
            _map(
                {"name": _text, "port": _number, "targetPort": _port, "protocol": _text, "appProtocol": _text},
                required=("port",),
            )
        ),
    }
)
_SLICE: Mapping[str, Check] = {
    "ports": _list(_map({"name": _text, "port": _number, "protocol": _text})),
    "endpoints": _list(
        _map(
            {"addresses": _list(_text), "conditions": _map({}), "nodeName": _text, "zone": _text},
            required=("addresses",),
        )
    ),
}
_STATUS = _map({"podIP": _text, "phase": _text})
_KINDS: Mapping[str, tuple[str, Check, Mapping[str, Check]]] = {
    "Service": ("v1", _SERVICE_SPEC, {}),
    "Pod": ("v1", _POD_SPEC, {"status": _STATUS}),
    "Namespace": ("v1", _map({}), {}),
    "Node": ("v1", _map({}), {}),
    "EndpointSlice": ("discovery.k8s.io/v1", _map({}), _SLICE),
}
