"""Reading a Pod's spec: what this node does not run, and as whom each container runs. Pure.

A kubelet would honour all of a spec; what this one cannot honour is named by
:func:`unsupported`, and the Pod fails with those words instead of running otherwise.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from pytest_mesh.clusters.local.namespaces import CAPABILITIES
from pytest_mesh.clusters.local.node.blueprints import DEFAULT_CAPABILITIES, Identity
from pytest_mesh.clusters.local.node.environments import ConfigError, references

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_mesh.contracts import Json

VOLUME_KINDS: Final = ("emptyDir", "configMap", "secret", "projected", "downwardAPI")
PROJECTED_KINDS: Final = ("serviceAccountToken", "configMap", "secret", "downwardAPI")
_PROBES: Final = ("startupProbe", "readinessProbe", "livenessProbe")
DOMAIN: Final = "cluster.local"
DNS_ADDRESS: Final = "10.96.0.10"


def is_sidecar(container: Json) -> bool:
    """Tell a native sidecar (an init container that is always restarted) from a plain init container."""
    return bool(container.get("restartPolicy") == "Always")


def unsupported(pod: Json) -> list[str]:
    """Name everything in the spec that this node would have to ignore."""
    spec = pod["spec"]
    found = [name for name in ("hostPID", "hostIPC", "shareProcessNamespace", "runtimeClassName") if spec.get(name)]
    if spec.get("hostUsers") is False:
        found.append("hostUsers: false")
    for number, volume in enumerate(spec.get("volumes") or ()):
        kinds = set(volume) - {"name"}
        if not kinds & set(VOLUME_KINDS):
            found.append(f"volumes[{number}] ({volume['name']}): {', '.join(sorted(kinds)) or 'nothing'}")
        found += [
            f"volumes[{number}] ({volume['name']}): projected {', '.join(source)}"
            for source in (volume.get("projected") or {}).get("sources") or ()
            if not set(source) & set(PROJECTED_KINDS)
        ]
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        found += [f"container {container['name']}: {what}" for what in _unsupported_in(container, spec)]
    return found


def _unsupported_in(container: Json, spec: Json) -> Iterator[str]:
    if container.get("volumeDevices"):
        yield "volumeDevices"
    for name in _PROBES:
        probe = container.get(name)
        if probe and not set(probe) & {"httpGet", "tcpSocket", "exec"}:
            yield f"{name} with {', '.join(sorted(set(probe) & {'grpc'})) or 'no action'}"
    for hook, action in (container.get("lifecycle") or {}).items():
        if isinstance(action, dict) and not set(action) & {"exec", "httpGet", "sleep"}:
            yield f"lifecycle.{hook} with {', '.join(action)}"
    for mount in container.get("volumeMounts") or ():
        if mount.get("mountPropagation") not in {None, "None"}:
            yield f"volumeMounts {mount['mountPath']}: mountPropagation {mount['mountPropagation']}"
    for port in container.get("ports") or ():
        if port.get("hostPort") and not spec.get("hostNetwork"):
            yield f"hostPort {port['hostPort']}"


def identity(container: Json, pod: Json, available: frozenset[str], user: str = "") -> Identity:
    """Give as whom the container runs; ``available`` are the capabilities that the node itself has,
    ``user`` is the image's own ``UID[:GID]``.

    ConfigError when runAsNonRoot forbids it, or a capability is unknown or not to be had.
    """
    shared: dict[str, Any] = pod["spec"].get("securityContext") or {}
    own: dict[str, Any] = container.get("securityContext") or {}

    def chosen(name: str) -> Any:
        return own[name] if own.get(name) is not None else shared.get(name)

    image_uid, _, image_gid = user.partition(":")
    asked = chosen("runAsUser")
    uid = int(image_uid or 0) if asked is None else int(asked)
    gid = chosen("runAsGroup")
    if gid is None and asked is None and image_gid:
        gid = int(image_gid)
    if chosen("runAsNonRoot") and uid == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    groups = [*(shared.get("supplementalGroups") or ())]
    if shared.get("fsGroup") is not None:
        groups.append(shared["fsGroup"])
    privileged = bool(own.get("privileged"))
    return Identity(
        uid=uid,
        gid=gid,
        groups=tuple(groups),
        capabilities=tuple(
            sorted(available if privileged else _capabilities(own.get("capabilities") or {}, available))
        ),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
    )


def _capabilities(change: Json, available: frozenset[str]) -> frozenset[str]:
    add = {name.removeprefix("CAP_") for name in change.get("add") or ()}
    drop = {name.removeprefix("CAP_") for name in change.get("drop") or ()}
    unknown = sorted((add | drop) - {*CAPABILITIES, "ALL"})
    if unknown:
        raise ConfigError(f"unknown capability {', '.join(unknown)}")
    missing = sorted(add - available - {"ALL"})
    if missing:
        raise ConfigError(f"capability {', '.join(missing)} is not to be had: this node's own processes lack it")
    base = set() if "ALL" in drop else set(DEFAULT_CAPABILITIES & available)
    added = set(available) if "ALL" in add else add
    return frozenset((base | added) - (drop - {"ALL"}))


def sources(spec: Json) -> set[tuple[str, str]]:
    """Name the ConfigMaps and Secrets (``configmaps``/``secrets``, name) that a Pod takes anything from."""
    found: set[tuple[str, str]] = set()
    for volume in spec.get("volumes") or ():
        entries: Sequence[Json] = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for entry in entries:
            if "configMap" in entry:
                found.add(("configmaps", entry["configMap"].get("name", "")))
            if "secret" in entry:
                found.add(("secrets", entry["secret"].get("secretName") or entry["secret"].get("name", "")))
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        found |= {(kind, name) for kind, name, _ in references(container)}
    return found


def hostname(pod: Json) -> str:
    """Give the host name that the Pod's processes see."""
    name: str = pod["spec"].get("hostname") or pod["metadata"]["name"]
    return name[:63].rstrip("-.")


def hosts_file(pod: Json, address: str) -> str:
    """Give /etc/hosts."""
    name, spec = hostname(pod), pod["spec"]
    own = name
    if spec.get("subdomain"):
        own = f"{name}.{spec['subdomain']}.{pod['metadata']['namespace']}.svc.{DOMAIN}\t{name}"
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        f"{address}\t{own}",
    ]
    lines += [f"{alias['ip']}\t{chr(9).join(alias.get('hostnames') or ())}" for alias in spec.get("hostAliases") or ()]
    return "\n".join(lines) + "\n"


def resolver_file(pod: Json) -> str:
    """Give /etc/resolv.conf by dnsPolicy and dnsConfig; ``Default`` knows no server, for the node has no way out."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str | None] = {}
    if policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork")):
        servers = [DNS_ADDRESS]
        searches = [f"{pod['metadata']['namespace']}.svc.{DOMAIN}", f"svc.{DOMAIN}", DOMAIN]
        options = {"ndots": "5"}
    extra = spec.get("dnsConfig") or {}
    servers += extra.get("nameservers") or []
    searches += extra.get("searches") or []
    options |= {option["name"]: option.get("value") for option in extra.get("options") or ()}
    lines = [f"nameserver {server}" for server in dict.fromkeys(servers)]
    if searches:
        lines.append("search " + " ".join(dict.fromkeys(searches)))
    if options:
        lines.append(
            "options " + " ".join(name if value is None else f"{name}:{value}" for name, value in options.items())
        )
    return "\n".join(lines) + "\n"


def quality(pod: Json) -> str:
    """Give the Pod's quality-of-service class."""
    containers = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
    resources = [container.get("resources") or {} for container in containers]
    if not any((each.get("requests") or each.get("limits")) for each in resources):
        return "BestEffort"
    for each in resources:
        limits, requests = each.get("limits") or {}, each.get("requests") or {}
        if any(name not in limits or requests.get(name, limits[name]) != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def container_id(uid: str, name: str, run: int) -> str:
    """Give a stable 64-digit id for one run of a container."""
    return "mesh://" + hashlib.sha256(f"{uid}/{name}/{run}".encode()).hexdigest()
