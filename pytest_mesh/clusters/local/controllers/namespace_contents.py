"""What every namespace holds from its birth: ServiceAccount ``default`` and ConfigMap ``kube-root-ca.crt``.

Restores both when they are deleted or changed; touches no other object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError
from pytest_mesh.clusters.local.controllers.objects import is_being_deleted
from pytest_mesh.clusters.local.controllers.workqueue import WorkQueue

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.controllers.cache import Informer, Key
    from pytest_mesh.contracts import Json

SERVICE_ACCOUNT = "default"
ROOT_CONFIG_MAP = "kube-root-ca.crt"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def root_config_map(namespace: str, ca_pem: str) -> Json:
    """Give the ConfigMap that tells pods how to verify the API server."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": ROOT_CONFIG_MAP,
            "namespace": namespace,
            "annotations": {"kubernetes.io/description": _DESCRIPTION},
        },
        "data": {"ca.crt": ca_pem},
    }


def default_service_account(namespace: str) -> Json:
    """Give the ServiceAccount that pods without another one run as."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": SERVICE_ACCOUNT, "namespace": namespace},
    }


class NamespaceContentsController:
    """Keeps the two objects in every namespace that is not being deleted."""

    def __init__(
        self, client: ApiClient, *, namespaces: Informer, service_accounts: Informer, root_config_maps: Informer
    ) -> None:
        self._client = client
        self._namespaces = namespaces
        self._service_accounts = service_accounts
        self._root_config_maps = root_config_maps
        self._queue = WorkQueue("namespace contents", self._reconcile)

    async def run(self) -> None:
        """Work for ever; the caches must be synced."""
        self._namespaces.subscribe(self._namespace_changed)
        self._service_accounts.subscribe(self._content_changed)
        self._root_config_maps.subscribe(self._content_changed)
        await self._queue.run()

    def _namespace_changed(self, _: Json | None, new: Json | None) -> None:
        if new is not None:
            self._queue.add(new["metadata"]["name"])

    def _content_changed(self, old: Json | None, new: Json | None) -> None:
        item = new or old or {}
        if item["metadata"]["name"] in {SERVICE_ACCOUNT, ROOT_CONFIG_MAP}:
            self._queue.add(item["metadata"]["namespace"])

    async def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(("", name))
        if namespace is None or is_being_deleted(namespace):
            return
        core = f"/api/v1/namespaces/{name}"
        if self._service_accounts.get((name, SERVICE_ACCOUNT)) is None:
            await self._create(f"{core}/serviceaccounts", default_service_account(name), self._service_accounts)
        wanted = root_config_map(name, self._client.ca_pem)
        key: Key = (name, ROOT_CONFIG_MAP)
        existing = self._root_config_maps.get(key)
        if existing is None:
            await self._create(f"{core}/configmaps", wanted, self._root_config_maps)
        elif existing.get("data") != wanted["data"]:
            self._root_config_maps.absorb(
                await self._client.patch(f"{core}/configmaps/{ROOT_CONFIG_MAP}", {"data": wanted["data"]})
            )

    async def _create(self, collection: str, item: Json, cache: Informer) -> None:
        try:
            cache.absorb(await self._client.create(collection, item))
        except ApiError as error:
            if error.reason != "AlreadyExists" and error.status != 404:  # 404, 403: the namespace is going
                namespace = self._namespaces.get(("", item["metadata"]["namespace"]))
                if namespace is not None and not is_being_deleted(namespace):
                    raise
