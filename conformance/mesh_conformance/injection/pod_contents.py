"""What an injected Pod must hold, and what of the user's it must keep. Pure: Pods in, complaints out.

It goes by what things are for, and by the names that the implementation's file
gives; names of volumes are a mesh's own business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_mesh.contracts import Implementation, Json

_PROBES = frozenset({"livenessProbe", "readinessProbe", "startupProbe"})
_HANDLERS = frozenset({"httpGet", "tcpSocket", "grpc"})
"""What a mesh may lead through its proxy, as another of these; times, thresholds and commands are the user's."""
_LISTS_BY_NAME = frozenset({"env", "ports", "volumeMounts", "volumes"})


def containers(pod: Json) -> dict[str, Json]:
    """Give init containers and containers by name."""
    spec = pod["spec"]
    return {one["name"]: one for one in (*(spec.get("initContainers") or ()), *spec["containers"])}


def is_injected(pod: Json, implementation: Implementation) -> bool:
    """Whether the proxy is in the Pod, as a container or as a native sidecar."""
    return implementation.proxy_container in containers(pod)


def missing_parts(pod: Json, implementation: Implementation) -> list[str]:
    """Say what an injected Pod lacks of the proxy, the init container and the volumes."""
    return [*_proxy(pod, implementation), *_init(pod, implementation), *_volumes(pod, implementation)]


def lost_parts(plain: Json, injected: Json) -> list[str]:
    """Say what of the Pod as it was is gone or changed in the injected one."""
    complaints = [*_lost_metadata(plain, injected)]
    after = containers(injected)
    for name, container in containers(plain).items():
        if name not in after:
            complaints.append(f"container {name} is gone")
        else:
            complaints += _lost_fields(container, after[name], f"container {name}")
    before = {key: value for key, value in plain["spec"].items() if key not in {"containers", "initContainers"}}
    return [*complaints, *_lost_fields(before, injected["spec"], "spec")]


def reordered_parts(plain: Json, injected: Json) -> list[str]:
    """Say which lists of the Pod as it was have their own items in another order in the injected one."""
    complaints: list[str] = []
    for field in ("containers", "initContainers", "volumes", "imagePullSecrets"):
        complaints += _reordered(plain["spec"], injected["spec"], field, "spec")
    after = containers(injected)
    for name, container in containers(plain).items():
        for field in ("env", "ports", "volumeMounts"):
            complaints += _reordered(container, after.get(name, {}), field, f"container {name}")
    return complaints


def _reordered(before: Json, after: Json, field: str, where: str) -> Iterator[str]:
    def names(of: Json) -> list[str]:
        return [str(one.get("name") or one.get("containerPort") or one) for one in of.get(field) or ()]

    own = names(before)
    kept = [name for name in names(after) if name in own]
    if kept != own:
        yield f"{where}: {field} {', '.join(own)} became {', '.join(kept)}"


def _proxy(pod: Json, implementation: Implementation) -> Iterator[str]:
    name = implementation.proxy_container
    inits = {one["name"]: one for one in pod["spec"].get("initContainers") or ()}
    if name not in containers(pod):
        yield f"no container {name}"
    elif name in inits and inits[name].get("restartPolicy") != "Always":
        yield f"{name} is an init container without restartPolicy: Always, so it ends before the application starts"


def _init(pod: Json, implementation: Implementation) -> Iterator[str]:
    name = implementation.init_container
    inits = {one["name"]: one for one in pod["spec"].get("initContainers") or ()}
    if name not in inits:
        yield f"no init container {name}"
        return
    words = [str(word) for word in (*(inits[name].get("command") or ()), *(inits[name].get("args") or ()))]
    for port, direction in ((implementation.outbound_port, "outbound"), (implementation.inbound_port, "inbound")):
        if port and str(port) not in words:
            yield f"{name} is not told the {direction} port {port}: {' '.join(words)}"
    added = ((inits[name].get("securityContext") or {}).get("capabilities") or {}).get("add") or []
    if "NET_ADMIN" not in added:
        yield f"{name} has no NET_ADMIN, without which it can write no iptables rule"
    order = list(inits)
    if implementation.proxy_container in order and order.index(implementation.proxy_container) < order.index(name):
        yield f"{name} comes after {implementation.proxy_container}"


def _volumes(pod: Json, implementation: Implementation) -> Iterator[str]:
    proxy = containers(pod).get(implementation.proxy_container)
    if proxy is None:
        return
    mounted = {mount["name"] for mount in proxy.get("volumeMounts") or ()}
    volumes = [one for one in pod["spec"].get("volumes") or () if one["name"] in mounted]
    config_map, _ = implementation.root_config_map
    if config_map and not any((one.get("configMap") or {}).get("name") == config_map for one in volumes):
        yield f"{implementation.proxy_container} mounts no volume of ConfigMap {config_map}, which holds the root"
    if not any(_is_token(one) for one in volumes):
        yield f"{implementation.proxy_container} mounts no projected token of an audience of the mesh's own"
    if not any("emptyDir" in one for one in volumes):
        yield f"{implementation.proxy_container} mounts no emptyDir for its certificates and configuration"
    if not any("downwardAPI" in one for one in volumes):
        yield f"{implementation.proxy_container} mounts no volume with the Pod's labels and annotations"


def _is_token(volume: Json) -> bool:
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any((one.get("serviceAccountToken") or {}).get("audience") for one in sources)


def _lost_metadata(plain: Json, injected: Json) -> Iterator[str]:
    for field in ("labels", "annotations"):
        after = injected["metadata"].get(field) or {}
        for key, value in (plain["metadata"].get(field) or {}).items():
            if after.get(key) != value:
                yield f"{field[:-1]} {key}: {value!r} became {after.get(key)!r}"


def _lost_fields(before: Mapping[str, Any], after: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in before.items():
        if key in _PROBES:
            yield from _lost_action(value, after.get(key), f"{where}: {key}")
        elif key == "lifecycle":
            yield from _lost_hooks(value or {}, after.get(key) or {}, where)
        elif key in _LISTS_BY_NAME:
            yield from _lost_items(value, after.get(key) or [], f"{where}: {key}")
        elif after.get(key) != value:
            yield f"{where}: {key} {value!r} became {after.get(key)!r}"


def _lost_items(before: Iterable[Json], after: Iterable[Json], where: str) -> Iterator[str]:
    kept = list(after)
    for item in before:
        if item not in kept:
            yield f"{where}: {item.get('name') or item} is gone or changed"


def _lost_hooks(before: Json, after: Json, where: str) -> Iterator[str]:
    for key, value in before.items():
        if isinstance(value, Mapping):
            yield from _lost_action(value, after.get(key), f"{where}: {key}")
        else:
            yield from _lost_fields({key: value}, after, f"{where}: lifecycle")


def _lost_action(before: Mapping[str, Any], after: Mapping[str, Any] | None, where: str) -> Iterator[str]:
    """Compare two probes, or two hooks, but for the handler that a mesh may lead through its proxy."""
    if not after:
        yield f"{where} is gone"
        return
    if before.keys() & _HANDLERS and not after.keys() & _HANDLERS:
        yield f"{where}: {', '.join(sorted(before.keys() & _HANDLERS))} is gone, and nothing of its kind took its place"
    for key in sorted((before.keys() | after.keys()) - _HANDLERS):
        if before.get(key) != after.get(key):
            yield f"{where}: {key} {before.get(key)!r} became {after.get(key)!r}"
    if not before.keys() & _HANDLERS and after.keys() & _HANDLERS:
        yield f"{where}: {', '.join(sorted(after.keys() & _HANDLERS))} was not there"
