"""A container's environment variables, command and arguments, as a kubelet derives them. Pure.

``$(VAR)`` expansion, ``env``, ``envFrom``, fieldRef, resourceFieldRef and
quantities. Fetching ConfigMaps and Secrets is the caller's work.
"""

from __future__ import annotations

import base64
import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_mesh.contracts import Json

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE: Final = re.compile(r"\$(\$|\(([^()$\s]+)\))")
_SUBSCRIPT: Final = re.compile(r"^metadata\.(labels|annotations)\['(.*)'\]$")
_NAME: Final = re.compile(r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")
_SCALES: Final = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1), "k": Decimal(10**3),
    "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15), "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip


class ConfigError(Exception):
    """The container cannot be configured (CreateContainerConfigError); the text names what is missing."""


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by its value and ``$$`` by ``$``; an unknown name stays as it is written."""

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def quantity(text: str | float) -> Decimal:
    """Read a Kubernetes quantity (``500m``, ``1Gi``, ``1e3``); ValueError says what is wrong."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkKMGTPE]?i?)", str(text))
    if match is None or match[2] not in _SCALES:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(match[1]) * _SCALES[match[2]]


def references(container: Json) -> Iterator[tuple[str, str, bool]]:
    """Give (``configmaps`` or ``secrets``, name, optional) for all that the environment is taken from."""
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if field in source:
                yield kind, source[field].get("name", ""), bool(source[field].get("optional"))
    for variable in container.get("env") or ():
        for field, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            reference = (variable.get("valueFrom") or {}).get(field)
            if reference:
                yield kind, reference.get("name", ""), bool(reference.get("optional"))


def environment(
    container: Json,
    pod: Json,
    *,
    base: Mapping[str, str],
    sources: Mapping[tuple[str, str], Json | None],
    allocatable: Mapping[str, str],
) -> dict[str, str]:
    """Give the variables in the order of a kubelet: ``base``, then envFrom, then env.

    ``sources`` holds what :func:`references` named, None for what does not
    exist. ConfigError when something that is not optional is missing.
    """
    result = dict(base)
    for source in container.get("envFrom") or ():
        for field, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if field in source:
                data = _data(kind, source[field], sources)
                prefix = source.get("prefix", "")
                result.update({prefix + key: value for key, value in data.items() if _NAME.match(prefix + key)})
    for variable in container.get("env") or ():
        if variable.get("valueFrom"):
            value = _value_from(variable, container, pod, sources, allocatable)
            if value is not None:
                result[variable["name"]] = value
        else:
            result[variable["name"]] = expand(variable.get("value", ""), result)
    return result


def arguments(container: Json, entrypoint: Sequence[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    """Give argv: ``command`` replaces the image's entry point, ``args`` follow it."""
    command = container.get("command") or entrypoint
    argv = tuple(expand(part, variables) for part in (*command, *(container.get("args") or ())))
    if not argv:
        raise ConfigError(f"container {container['name']!r}: neither the Pod nor the image names a command")
    return argv


def field_value(pod: Json, path: str) -> str:
    """Give what a fieldRef names, as text; ConfigError for a path that no kubelet knows."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        return str((metadata.get(subscript[1]) or {}).get(subscript[2], ""))
    if path in {"metadata.labels", "metadata.annotations"}:
        items = metadata.get(path.rpartition(".")[2]) or {}
        return "\n".join(f'{key}="{_quoted(value)}"' for key, value in sorted(items.items()))
    plain = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": status.get("hostIP", ""),
        "status.podIP": status.get("podIP", ""),
        "status.hostIPs": ",".join(entry["ip"] for entry in status.get("hostIPs") or ()),
        "status.podIPs": ",".join(entry["ip"] for entry in status.get("podIPs") or ()),
    }
    if path not in plain:
        raise ConfigError(f"fieldRef {path!r} is not supported; known: {', '.join(sorted(plain))}")
    return str(plain[path])


def resource_value(container: Json, resource: str, divisor: str, allocatable: Mapping[str, str]) -> str:
    """Give what a resourceFieldRef names (``limits.cpu``), rounded up; a limit that is not set is the node's whole."""
    group, _, name = resource.partition(".")
    if group not in {"limits", "requests"} or not name:
        raise ConfigError(f"resourceFieldRef {resource!r} is not supported")
    found = ((container.get("resources") or {}).get(group) or {}).get(name)
    if found is None and group == "limits":
        found = allocatable.get(name)
    amount = quantity(found if found is not None else "0")
    unit = quantity(divisor or "1") or Decimal(1)
    return str(math.ceil(amount / unit))


def service_environment(name: str, address: str, ports: Sequence[Json]) -> dict[str, str]:
    """Give the variables that announce a Service (``NAME_SERVICE_HOST`` and the older docker-link ones)."""
    if not ports:
        return {}
    prefix = name.upper().replace("-", "_")
    first = ports[0]["port"]
    result = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(first)}
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    for number, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        url = f"{protocol.lower()}://{address}:{port['port']}"
        if number == 0:
            result[f"{prefix}_PORT"] = url
        link = f"{prefix}_PORT_{port['port']}_{protocol}"
        result |= {
            link: url,
            f"{link}_PROTO": protocol.lower(),
            f"{link}_PORT": str(port["port"]),
            f"{link}_ADDR": address,
        }
    return result


def _value_from(
    variable: Json,
    container: Json,
    pod: Json,
    sources: Mapping[tuple[str, str], Json | None],
    allocatable: Mapping[str, str],
) -> str | None:
    source = variable["valueFrom"]
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        reference = source["resourceFieldRef"]
        owner = container
        if reference.get("containerName"):
            spec = pod["spec"]
            everyone = (*(spec.get("initContainers") or ()), *spec["containers"])
            owner = next((each for each in everyone if each["name"] == reference["containerName"]), container)
        return resource_value(owner, reference["resource"], str(reference.get("divisor") or "1"), allocatable)
    for field, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if field in source:
            reference = source[field]
            data = _data(kind, reference, sources)
            if reference["key"] in data:
                return data[reference["key"]]
            if reference.get("optional"):
                return None
            raise ConfigError(f"couldn't find key {reference['key']} in {_kind(kind)} {reference.get('name')}")
    raise ConfigError(f"env {variable['name']}: valueFrom {', '.join(source)} is not supported")


def _data(kind: str, reference: Json, sources: Mapping[tuple[str, str], Json | None]) -> dict[str, str]:
    found = sources.get((kind, reference.get("name", "")))
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{_kind(kind).lower()} "{reference.get("name")}" not found')
    if kind == "configmaps":
        return dict(found.get("data") or {})
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (found.get("data") or {}).items()}


def _kind(plural: str) -> str:
    return "ConfigMap" if plural == "configmaps" else "Secret"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
