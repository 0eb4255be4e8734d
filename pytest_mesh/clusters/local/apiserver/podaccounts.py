"""What the ServiceAccount admission plugin does to a new Pod: the account's name, its token's volume and mounts.

Pure: object in, object out; ``admission`` finds the account. It does not restrict which Secrets a Pod may use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.contracts import Json

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"

TOKEN_EXPIRATION = 3607
"""Seconds; kube-apiserver's own number, by which it recognises these tokens."""


def account_name(pod: Json) -> str:
    """Give the name of the ServiceAccount that a Pod runs as."""
    name: str = pod.get("spec", {}).get("serviceAccountName") or "default"
    return name


def with_account(pod: Json, account: Json, random_suffix: Callable[[], str]) -> Json:
    """Give the Pod as this plugin leaves it; the same object if there is nothing to change.

    ``random_suffix`` names a new volume. Mirror Pods are left alone.
    """
    if MIRROR_ANNOTATION in (pod["metadata"].get("annotations") or {}):
        return pod
    changed = objects.copy(pod)
    spec = changed.setdefault("spec", {})
    spec["serviceAccountName"] = account_name(pod)
    # The deprecated twin always follows.
    spec["serviceAccount"] = spec["serviceAccountName"]
    if _automount(spec, account):
        _mount_token(spec, random_suffix)
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [{"name": ref["name"]} for ref in account["imagePullSecrets"]]
    return pod if changed == pod else changed


def _automount(spec: Json, account: Json) -> bool:
    for holder in (spec, account):
        choice = holder.get("automountServiceAccountToken")
        if choice is not None:
            return bool(choice)
    return True


def _mount_token(spec: Json, random_suffix: Callable[[], str]) -> None:
    volumes = spec.get("volumes") or []
    existing = next((volume["name"] for volume in volumes if volume["name"].startswith(VOLUME_PREFIX)), None)
    name = existing or VOLUME_PREFIX + random_suffix()
    needed = False
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        mounts = container.get("volumeMounts") or []
        if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
            container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": MOUNT_PATH}]
            needed = True
    if needed and existing is None:
        spec["volumes"] = [*volumes, token_volume(name)]


def token_volume(name: str) -> Json:
    """Give the projected volume: token, cluster root and namespace, as kube-apiserver makes it."""
    token = {"expirationSeconds": TOKEN_EXPIRATION, "path": "token"}
    root = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    field = {"apiVersion": "v1", "fieldPath": "metadata.namespace"}
    return {
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": token},
                {"configMap": root},
                {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": field}]}},
            ],
        },
    }
