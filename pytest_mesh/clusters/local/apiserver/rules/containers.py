"""The rules of a Pod's containers: ports, environment, mounts, probes, resources. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import quantities
from pytest_mesh.clusters.local.apiserver.rules.faults import (
    duplicate,
    forbidden,
    identity,
    named,
    not_found,
    not_negative,
    one_of,
    port,
    port_name_fault,
    port_or_name,
    required,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

ENV_RULE = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_ENV = re.compile(r"[ -<>-~]+")
_FIELDS = {
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP",
    "status.hostIPs", "status.podIP", "status.podIPs",
}  # fmt: skip
_FIELD_KEYS = re.compile(r"metadata\.(labels|annotations)\['[^']+'\]")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
STANDARD = ("cpu", "memory", "ephemeral-storage")


def containers(spec: Json, path: str, volumes: set[str]) -> Iterator[Cause]:
    """Check all containers of a Pod's spec; ``volumes`` are the names of its volumes."""
    names: set[str] = set()
    hosts: set[str] = set()
    network = bool(spec.get("hostNetwork"))
    for index, container in enumerate(spec.get("containers") or ()):
        yield from _container(container, f"{path}.containers[{index}]", names, volumes, network=network, hosts=hosts)
    for index, container in enumerate(spec.get("initContainers") or ()):
        at = f"{path}.initContainers[{index}]"
        yield from _container(container, at, names, volumes, network=network, hosts=set())
        policy = container.get("restartPolicy")
        if policy not in (None, "Always", "Never", "OnFailure"):
            yield unsupported(f"{at}.restartPolicy", policy, ("Always",))
        if policy != "Always":
            for name in ("lifecycle", *PROBES):
                if container.get(name) is not None:
                    yield forbidden(f"{at}.{name}", "may not be set for init containers without restartPolicy=Always")


def _container(
    container: Json, path: str, names: set[str], volumes: set[str], *, network: bool, hosts: set[str]
) -> Iterator[Cause]:
    name, image = container.get("name", ""), container.get("image", "")
    if not name:
        yield required(f"{path}.name")
    else:
        yield from named(f"{path}.name", name, "label")
    if name and name in names:
        yield duplicate(f"{path}.name", name)
    names.add(name)
    if not image:
        yield required(f"{path}.image")
    elif image != image.strip():
        yield wrong(f"{path}.image", image, "must not have leading or trailing whitespace")
    yield from _ports(container.get("ports") or [], f"{path}.ports", network=network, hosts=hosts)
    yield from _environment(container, path)
    yield from _mounts(container, path, volumes)
    lifecycle = container.get("lifecycle") or {}
    for moment in ("postStart", "preStop"):
        if lifecycle.get(moment) is not None:
            yield from _handler(
                lifecycle[moment], f"{path}.lifecycle.{moment}", ("exec", "httpGet", "tcpSocket", "sleep")
            )
    for probe in PROBES:
        if container.get(probe) is not None:
            yield from _probe(container[probe], f"{path}.{probe}", probe)
    yield from one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never"))
    policies = ("File", "FallbackToLogsOnError")
    field = f"{path}.terminationMessagePolicy"
    yield from one_of(field, container.get("terminationMessagePolicy"), policies, ordered=False)
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    security = container.get("securityContext") or {}
    yield from identity(security, f"{path}.securityContext", "runAsUser", "runAsGroup")
    if security.get("privileged") and security.get("allowPrivilegeEscalation") is False:
        text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        yield wrong(f"{path}.securityContext", security, text)


def _ports(ports: list[Json], path: str, *, network: bool, hosts: set[str]) -> Iterator[Cause]:
    names: set[str] = set()
    taken = []
    for index, one in enumerate(ports):
        at, name = f"{path}[{index}]", one.get("name", "")
        if name:
            if (fault := port_name_fault(name)) is not None:
                yield wrong(f"{at}.name", name, fault)
            if name in names:
                yield duplicate(f"{at}.name", name)
            names.add(name)
        if not one.get("containerPort"):
            yield required(f"{at}.containerPort")
        else:
            yield from port(one["containerPort"], f"{at}.containerPort")
        host = one.get("hostPort")
        if host:
            yield from port(host, f"{at}.hostPort")
            if network and host != one.get("containerPort"):
                text = "must match `containerPort` when `hostNetwork` is true"
                yield wrong(f"{at}.hostPort", host, text)
            taken.append((f"{at}.hostPort", f"{one.get('protocol', 'TCP')}/{one.get('hostIP', '')}/{host}"))
        yield from one_of(f"{at}.protocol", one.get("protocol"), ("SCTP", "TCP", "UDP"))
    for at, place in taken:
        if place in hosts:
            yield duplicate(at, place)
        hosts.add(place)


def _environment(container: Json, path: str) -> Iterator[Cause]:
    for index, variable in enumerate(container.get("env") or ()):
        at, name = f"{path}.env[{index}]", variable.get("name", "")
        if not name:
            yield required(f"{at}.name")
        elif not _ENV.fullmatch(name):
            yield wrong(f"{at}.name", name, ENV_RULE)
        source = variable.get("valueFrom")
        if source is None:
            continue
        given = [
            key
            for key in ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
            if source.get(key) is not None
        ]
        if not given:
            text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            yield wrong(f"{at}.valueFrom", "", text)
        elif variable.get("value"):
            yield wrong(f"{at}.valueFrom", "", "may not be specified when `value` is not empty")
        elif len(given) > 1:
            yield wrong(f"{at}.valueFrom", "", "may not have more than one field specified at a time")
        yield from _sources(source, f"{at}.valueFrom")
    for index, source in enumerate(container.get("envFrom") or ()):
        at, prefix = f"{path}.envFrom[{index}]", source.get("prefix", "")
        if prefix and not _ENV.fullmatch(prefix):
            yield wrong(f"{at}.prefix", prefix, ENV_RULE)
        kinds = [key for key in ("configMapRef", "secretRef") if source.get(key) is not None]
        if not kinds:
            yield wrong(f"{path}.envFrom", "", "must specify one of: `configMapRef` or `secretRef`")
        for key in kinds:
            if not source[key].get("name"):
                yield required(f"{at}.{key}.name")


def _sources(source: Json, path: str) -> Iterator[Cause]:
    if source.get("fieldRef") is not None:
        yield from field_reference(source["fieldRef"], f"{path}.fieldRef")
    if source.get("resourceFieldRef") is not None and not source["resourceFieldRef"].get("resource"):
        yield required(f"{path}.resourceFieldRef.resource")
    for key in ("configMapKeyRef", "secretKeyRef"):
        if source.get(key) is not None:
            yield from named(f"{path}.{key}.name", source[key].get("name", ""), "subdomain")
            if not source[key].get("key"):
                yield required(f"{path}.{key}.key")


def field_reference(reference: Json, path: str, *, maps: bool = False) -> Iterator[Cause]:
    """Check a ``fieldRef``; with ``maps`` all labels and all annotations may be meant too."""
    field = reference.get("fieldPath", "")
    if not field:
        yield required(f"{path}.fieldPath")
    elif not _FIELD_KEYS.fullmatch(field) and field not in _FIELDS:
        if field in ("metadata.labels", "metadata.annotations"):
            if not maps:
                yield unsupported(f"{path}.fieldPath", field, sorted(_FIELDS), ordered=False)
        else:
            yield wrong(f"{path}.fieldPath", field, f"error converting fieldPath: field label not supported: {field}")


def _mounts(container: Json, path: str, volumes: set[str]) -> Iterator[Cause]:
    places: set[str] = set()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at, name, place = f"{path}.volumeMounts[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{at}.name")
        elif name not in volumes:
            yield not_found(f"{at}.name", name)
        if not place:
            yield required(f"{at}.mountPath")
        if place in places:
            yield wrong(f"{at}.mountPath", place, "must be unique")
        places.add(place)
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                yield from inside(mount[field], f"{path}.volumeMounts.{field}")


def inside(place: str, field: str) -> Iterator[Cause]:
    """Check a relative path that may not leave where it begins."""
    if place.startswith("/"):
        yield wrong(field, place, "must be a relative path")
    if ".." in place.split("/"):
        yield wrong(field, place, "must not contain '..'")


def _probe(probe: Json, path: str, kind: str) -> Iterator[Cause]:
    yield from _handler(probe, path, ("exec", "httpGet", "tcpSocket", "grpc"))
    yield from not_negative(
        probe, path, "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"
    )
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and kind == "readinessProbe":
        yield wrong(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif grace is not None and grace <= 0:
        yield wrong(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield wrong(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(handler: Json, path: str, kinds: tuple[str, ...]) -> Iterator[Cause]:
    given = [kind for kind in kinds if handler.get(kind) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for kind in given[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 handler type")
    for kind in given[:1]:
        at, action = f"{path}.{kind}", handler[kind]
        if kind == "exec" and not action.get("command"):
            yield required(f"{at}.command")
        if kind == "httpGet":
            if not action.get("path"):
                yield required(f"{at}.path")
            yield from port_or_name(action.get("port", 0), f"{at}.port")
            yield from one_of(f"{at}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
        elif kind in ("tcpSocket", "grpc"):
            yield from port_or_name(action.get("port", 0), f"{at}.port")


def _resources(resources: Json, path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, found in (("limits", limits), ("requests", requests)):
        for name, amount in found.items():
            at = f"{path}.{field}[{name}]"
            if "/" not in name and name not in STANDARD and not name.startswith("hugepages-"):
                yield wrong(at, name, "must be a standard resource type or fully qualified")
                yield wrong(at, name, "must be a standard resource for containers")
            if _number(amount) < 0:
                yield wrong(at, amount, "must be greater than or equal to 0")
    for name, amount in requests.items():
        if name in limits and _number(amount) > _number(limits[name]):
            text = f"must be less than or equal to {name} limit of {limits[name]}"
            yield wrong(f"{path}.requests", amount, text)


def _number(amount: Any) -> Any:
    return quantities.parse(str(amount))
