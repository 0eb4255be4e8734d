"""The rules of Pods and of the Pods' specs in templates. Containers are ``containers``'. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.rules.containers import containers, field_reference, inside
from pytest_mesh.clusters.local.apiserver.rules.faults import (
    MAX_ID,
    address,
    duplicate,
    forbidden,
    identity,
    named,
    one_of,
    qualified,
    required,
    unsupported,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

RESTART = ("Always", "OnFailure", "Never")
DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
HOST_PATHS = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_SYSCTL = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
CHANGES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check(pod: Json, old: Json | None) -> Iterator[Cause]:
    """Check a Pod."""
    yield from pod_spec(pod["spec"], "spec")
    if old is None:
        if pod["spec"].get("ephemeralContainers"):
            yield forbidden("spec.ephemeralContainers", "cannot be set on create")
        return
    yield from _changes(pod["spec"], old["spec"])


def _changes(spec: Json, old: Json) -> Iterator[Cause]:
    if _frozen(spec) != _frozen(old):
        yield forbidden("spec", CHANGES)
        return
    if any(one not in (spec.get("tolerations") or ()) for one in old.get("tolerations") or () if not _added(one)):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    before, after = old.get("activeDeadlineSeconds"), spec.get("activeDeadlineSeconds")
    if before is not None and after is None:
        yield wrong("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")
    elif before is not None and after is not None and after > before:
        text = "must be less than or equal to previous value"
        yield wrong("spec.activeDeadlineSeconds", after, text)


def _added(toleration: Json) -> bool:
    """Say whether a toleration is one that every Pod is given, also when a client leaves it out."""
    return toleration.get("key") in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def _frozen(spec: Json) -> Json:
    free = ("activeDeadlineSeconds", "tolerations", "schedulingGates")
    frozen = {name: value for name, value in spec.items() if name not in free}
    for name in ("containers", "initContainers", "ephemeralContainers"):
        if name in frozen:
            frozen[name] = [{k: v for k, v in container.items() if k != "image"} for container in frozen[name]]
    return frozen


def pod_spec(spec: Json, path: str) -> Iterator[Cause]:
    """Check a Pod's spec or a template's."""
    names: set[str] = set()
    for index, volume in enumerate(spec.get("volumes") or ()):
        yield from _volume(volume, f"{path}.volumes[{index}]", names)
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    yield from containers(spec, path, names)
    if spec.get("restartPolicy", "Always") not in RESTART:
        yield unsupported(f"{path}.restartPolicy", spec["restartPolicy"], RESTART, ordered=False)
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS, ordered=False)
    for key in spec.get("nodeSelector") or {}:
        yield from qualified(f"{path}.nodeSelector", key)
    yield from _security(spec, path)
    yield from _affinity(spec.get("affinity") or {}, f"{path}.affinity")
    yield from _dns(spec, path)
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        yield from qualified(f"{path}.readinessGates[{index}].conditionType", gate.get("conditionType", ""))
    yield from _spread(spec.get("topologySpreadConstraints") or [], f"{path}.topologySpreadConstraints")
    for name, rule in (
        ("serviceAccountName", "subdomain"),
        ("nodeName", "subdomain"),
        ("hostname", "label"),
        ("subdomain", "label"),
    ):
        if spec.get(name):
            if name == "subdomain" and "." in spec[name]:
                yield wrong(f"{path}.subdomain", spec[name], "must not contain dots")
            else:
                yield from named(f"{path}.{name}", spec[name], rule)
    yield from one_of(
        f"{path}.preemptionPolicy", spec.get("preemptionPolicy"), ("PreemptLowerPriority", "Never"), ordered=False
    )
    for name in ("runtimeClassName", "priorityClassName"):
        if spec.get(name):
            yield from named(f"{path}.{name}", spec[name], "subdomain")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= MAX_ID:
        yield wrong(f"{path}.activeDeadlineSeconds", deadline, f"must be between 1 and {MAX_ID}, inclusive")
    yield from _tolerations(spec.get("tolerations") or [], f"{path}.tolerations")
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        yield from address(f"{path}.hostAliases[{index}].ip", alias.get("ip", ""))
        for number, name in enumerate(alias.get("hostnames") or ()):
            yield from named(f"{path}.hostAliases[{index}].hostnames[{number}]", name, "subdomain")
    if (spec.get("os") or {}).get("name", "linux") not in ("linux", "windows"):
        yield unsupported(f"{path}.os", spec["os"]["name"], ("linux", "windows"))


def _security(spec: Json, path: str) -> Iterator[Cause]:
    security = spec.get("securityContext") or {}
    at = f"{path}.securityContext"
    yield from identity(security, at, "runAsUser", "runAsGroup", "fsGroup")
    for index, group in enumerate(security.get("supplementalGroups") or ()):
        yield from identity({"group": group}, f"{at}.supplementalGroups[{index}]", "group")
    for index, sysctl in enumerate(security.get("sysctls") or ()):
        name = sysctl.get("name", "")
        if not name:
            yield required(f"{at}.sysctls[{index}].name")
        elif len(name) > 253 or not re.fullmatch(_SYSCTL, name):
            text = f"must have at most 253 characters and match regex {_SYSCTL}"
            yield wrong(f"{at}.sysctls[{index}].name", name, text)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield wrong(f"{at}.shareProcessNamespace", True, text)


def _dns(spec: Json, path: str) -> Iterator[Cause]:
    config = spec.get("dnsConfig")
    if spec.get("dnsPolicy") == "None":
        if config is None:
            yield required(f"{path}.dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
        elif not config.get("nameservers"):
            text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield required(f"{path}.dnsConfig.nameservers", text)
    for index, server in enumerate((config or {}).get("nameservers") or ()):
        yield from address(f"{path}.dnsConfig.nameservers[{index}]", server)


def _affinity(affinity: Json, path: str) -> Iterator[Cause]:
    needed = (affinity.get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if needed is not None and not needed.get("nodeSelectorTerms"):
        at = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        yield required(at, "must have at least one node selector term")


def _spread(constraints: list[Json], path: str) -> Iterator[Cause]:
    for index, one in enumerate(constraints):
        at = f"{path}[{index}]"
        if one.get("maxSkew", 0) <= 0:
            yield wrong(f"{at}.maxSkew", one.get("maxSkew", 0), "must be greater than zero")
        if not one.get("topologyKey"):
            yield required(f"{at}.topologyKey", "can not be empty")
        if one.get("whenUnsatisfiable") not in ("DoNotSchedule", "ScheduleAnyway"):
            yield unsupported(
                f"{at}.whenUnsatisfiable", one.get("whenUnsatisfiable", ""), ("DoNotSchedule", "ScheduleAnyway")
            )


def _tolerations(tolerations: list[Json], path: str) -> Iterator[Cause]:
    for index, one in enumerate(tolerations):
        at, key, operator = f"{path}[{index}]", one.get("key", ""), one.get("operator", "")
        if key:
            yield from qualified(f"{at}.key", key)
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield wrong(f"{at}.operator", operator, text)
        if one.get("tolerationSeconds") is not None and one.get("effect") != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield wrong(f"{at}.effect", one.get("effect", ""), text)
        if operator == "Exists":
            if one.get("value"):
                yield wrong(f"{at}.operator", one["value"], "value must be empty when `operator` is 'Exists'")
        elif operator not in ("", "Equal"):
            yield unsupported(f"{at}.operator", operator, ("Equal", "Exists"))
        yield from one_of(f"{at}.effect", one.get("effect"), ("NoSchedule", "PreferNoSchedule", "NoExecute"))


def _volume(volume: Json, at: str, names: set[str]) -> Iterator[Cause]:
    name = volume.get("name", "")
    kinds = [kind for kind in volume if kind != "name"]
    for kind in kinds[1:]:
        yield forbidden(f"{at}.{kind}", "may not specify more than 1 volume type")
    if kinds:
        yield from _source(kinds[0], volume[kinds[0]], f"{at}.{kinds[0]}")
    if not name:
        yield required(f"{at}.name")
    else:
        yield from named(f"{at}.name", name, "label")
        if name in names:
            yield duplicate(f"{at}.name", name)
    names.add(name)


def _source(kind: str, source: Json, at: str) -> Iterator[Cause]:
    if kind == "secret" and not source.get("secretName"):
        yield required(f"{at}.secretName")
    if kind == "configMap" and not source.get("name"):
        yield required(f"{at}.name")
    if kind in ("secret", "configMap"):
        yield from _mode(source, at)
        for index, item in enumerate(source.get("items") or ()):
            yield from _item(item, f"{at}.items[{index}]")
    elif kind == "hostPath":
        place = source.get("path", "")
        if not place:
            yield required(f"{at}.path")
        elif ".." in place.split("/"):
            yield wrong(f"{at}.path", place, "must not contain '..'")
        if source.get("type", "") not in HOST_PATHS:
            yield unsupported(f"{at}.type", source["type"], HOST_PATHS)
    elif kind == "downwardAPI":
        yield from _mode(source, at)
        yield from _downward(source.get("items") or [], at)
    elif kind == "projected":
        yield from _mode(source, at)
        for index, one in enumerate(source.get("sources") or ()):
            yield from _projected(one, f"{at}.sources[{index}]")


def _mode(source: Json, at: str) -> Iterator[Cause]:
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        yield wrong(f"{at}.defaultMode", mode, "must be a number between 0 and 0777 (octal), both inclusive")


def _item(item: Json, at: str) -> Iterator[Cause]:
    for field in ("key", "path"):
        if not item.get(field):
            yield required(f"{at}.{field}")
    yield from inside(item.get("path", ""), f"{at}.path")


def _downward(items: list[Json], at: str) -> Iterator[Cause]:
    for item in items:
        if not item.get("path"):
            yield required(f"{at}.path")
        yield from inside(item.get("path", ""), f"{at}.path")
        if item.get("fieldRef") is not None:
            yield from field_reference(item["fieldRef"], f"{at}.fieldRef", maps=True)
        elif item.get("resourceFieldRef") is None:
            yield required(at, "one of fieldRef and resourceFieldRef is required")


def _projected(source: Json, at: str) -> Iterator[Cause]:
    for kind in ("secret", "configMap"):
        if source.get(kind) is not None:
            if not source[kind].get("name"):
                yield required(f"{at}.{kind}.name")
            for index, item in enumerate(source[kind].get("items") or ()):
                yield from _item(item, f"{at}.{kind}.items[{index}]")
    if source.get("downwardAPI") is not None:
        yield from _downward(source["downwardAPI"].get("items") or [], f"{at}.downwardAPI")
    token = source.get("serviceAccountToken")
    if token is not None:
        seconds = token.get("expirationSeconds")
        if seconds is not None and seconds < 600:
            yield wrong(
                f"{at}.serviceAccountToken.expirationSeconds",
                seconds,
                "may not specify a duration less than 10 minutes",
            )
        if not token.get("path"):
            yield required(f"{at}.serviceAccountToken.path")
