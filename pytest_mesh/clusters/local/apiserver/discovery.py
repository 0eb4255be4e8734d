"""What is served: ``/api`` and ``/apis`` in the old form and in the aggregated one. Pure over the registry."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import customdefinitions

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import Registry, ResourceInfo
    from pytest_mesh.contracts import Json

FOREIGN_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "token": ("authentication.k8s.io", "v1", "TokenRequest"),
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
    "exec": ("", "v1", "PodExecOptions"),
    "attach": ("", "v1", "PodAttachOptions"),
    "portforward": ("", "v1", "PodPortForwardOptions"),
}
"""Subresources whose objects are of another kind than their owner."""

_SUBRESOURCE_VERBS = {
    "status": ["get", "patch", "update"],
    "scale": ["get", "patch", "update"],
    "finalize": ["update"],
    "token": ["create"],
    "eviction": ["create"],
    "binding": ["create"],
    "log": ["get"],
    "exec": ["create", "get"],
    "attach": ["create", "get"],
    "portforward": ["create", "get"],
    "proxy": ["create", "delete", "get", "patch", "update"],
}

BUILTIN_ORDER = ("", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch")
"""Groups that come first; a client takes the first group that has a name it looks for."""

NETWORKING = "networking.istio.io"


def groups(registry: Registry) -> dict[str, list[str]]:
    """Give the served versions of each group, best first, the groups in the order of discovery."""
    found: dict[str, list[str]] = {}
    for info in registry.all():
        versions = found.setdefault(info.group, [])
        if info.version not in versions:
            versions.append(info.version)
    order = {group: index for index, group in enumerate(BUILTIN_ORDER)}
    builtin = [group for group in found if registry.is_builtin_group(group)]
    builtin.sort(key=lambda group: order.get(group, len(order)))
    custom = sorted(group for group in found if not registry.is_builtin_group(group))
    # ``kubectl get gateway`` takes the first group with gateways.
    custom.sort(key=lambda group: group != NETWORKING)
    return {group: sorted(found[group], key=customdefinitions.priority) for group in (*builtin, *custom)}


def _group_version(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def group(name: str, versions: list[str]) -> Json:
    """Give the ``APIGroup`` of one group."""
    listed = [{"groupVersion": _group_version(name, version), "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def group_list(registry: Registry) -> Json:
    """Give ``/apis`` in the old form."""
    found = [group(name, versions) for name, versions in groups(registry).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def legacy_versions(address: str) -> Json:
    """Give ``/api`` in the old form."""
    server = {"clientCIDR": "0.0.0.0/0", "serverAddress": address}
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [server]}


def resource_list(registry: Registry, name: str, version: str) -> Json | None:
    """Give the ``APIResourceList`` of a group version, or None if it is not served."""
    rows = []
    for info in registry.all():
        if (info.group, info.version) != (name, version):
            continue
        row: Json = {
            "name": info.plural,
            "singularName": info.singular or info.kind.lower(),
            "namespaced": info.namespaced,
            "kind": info.kind,
            "verbs": list(info.verbs),
        }
        if info.short_names:
            row["shortNames"] = list(info.short_names)
        if info.categories:
            row["categories"] = list(info.categories)
        if "list" in info.verbs:
            row["storageVersionHash"] = _storage_hash(registry, info)
        rows.append(row)
        for subresource in sorted(info.subresources, reverse=info.custom):
            owner, kind_version, kind = FOREIGN_KINDS.get(subresource, (info.group, info.version, info.kind))
            row = {
                "name": f"{info.plural}/{subresource}",
                "singularName": "",
                "namespaced": info.namespaced,
                "kind": kind,
                "verbs": _SUBRESOURCE_VERBS[subresource],
            }
            if subresource in FOREIGN_KINDS:
                row["group"], row["version"] = owner, kind_version
            rows.append(row)
    if not rows:
        return None
    head = {"kind": "APIResourceList", "apiVersion": "v1"} if name else {"kind": "APIResourceList"}
    return {
        **head,
        "groupVersion": _group_version(name, version),
        "resources": rows,
    }


def _storage_hash(registry: Registry, info: ResourceInfo) -> str:
    """Give the hash by which clients see that a resource is stored in another version."""
    version = "v1" if info.group == "events.k8s.io" else info.version
    group = "" if info.group == "events.k8s.io" else info.group
    if info.custom:
        definition = registry.versions_of(info.key)
        version = next((one.version for one in definition if one.stored), version)
    digest = hashlib.sha256(f"{group}/{version}/{info.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _aggregated(info: ResourceInfo) -> Json:
    row: Json = {
        "resource": info.plural,
        "responseKind": {"group": info.group, "version": info.version, "kind": info.kind},
        "scope": "Namespaced" if info.namespaced else "Cluster",
        "singularResource": info.singular or info.kind.lower(),
        "verbs": list(info.verbs),
    }
    if info.short_names:
        row["shortNames"] = list(info.short_names)
    if info.categories:
        row["categories"] = list(info.categories)
    if info.subresources:
        row["subresources"] = []
        for subresource in sorted(info.subresources):
            owner, version, kind = FOREIGN_KINDS.get(subresource, (info.group, info.version, info.kind))
            row["subresources"].append(
                {
                    "subresource": subresource,
                    "responseKind": {"group": owner, "version": version, "kind": kind},
                    "verbs": _SUBRESOURCE_VERBS[subresource],
                }
            )
    return row


def aggregated(registry: Registry, *, core: bool) -> Json:
    """Give ``/api`` (``core``) or ``/apis`` as APIGroupDiscoveryList."""
    items = []
    for name, versions in groups(registry).items():
        if (name == "") is not core:
            continue
        listed = [
            {
                "version": version,
                "freshness": "Current",
                "resources": [
                    _aggregated(info) for info in registry.all() if info.group == name and info.version == version
                ],
            }
            for version in versions
        ]
        metadata = {"name": name} if name else {}
        items.append({"metadata": metadata, "versions": listed})
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}
