"""Where the root lives in Kubernetes: its Secret, and the ConfigMap that carries it into every namespace.

It deliberately does not sign, and it never rotates the root: a Secret that is
there is used as it is.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from mesh_reference.ca import authority
from mesh_reference.errors import Conflict, MeshError, NotFound
from mesh_reference.kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh_reference.kube.resources import Resource
    from mesh_reference.kube.watching import Event

logger = logging.getLogger(__name__)

SECRET = "istio-ca-secret"  # noqa: S105 - a name, not a secret
SECRET_TYPE = "istio.io/ca-root"  # noqa: S105
CONFIG_MAP = "istio-ca-root-cert"
ROOT_KEY = "root-cert.pem"
LABELS = {"istio.io/config": "true"}
WITHOUT_ROOT = frozenset({"kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces where no workload runs (IST-ROOT-DIST); kube-system is not among them."""
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 15.0


class Store(Protocol):
    """The part of the Kubernetes client that is used here."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]: ...
    async def create(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]: ...
    async def replace(self, resource: Resource, obj: dict[str, Any]) -> dict[str, Any]: ...
    def watch(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Event]: ...


class RootSettings(Protocol):
    """The part of the settings that is used here."""

    @property
    def root_namespace(self) -> str:
        """Where the Secret lies."""

    @property
    def trust_domain(self) -> str:
        """Trust domain of every identity."""


async def load_or_create(
    kube: Store, settings: RootSettings, *, algorithm: authority.KeyAlgorithm = "ECDSA-P256"
) -> authority.Authority:
    """Give the mesh's authority from Secret ``istio-ca-secret``, made first if it is absent.

    Two istiods that start at once agree: whose create comes second reads the
    first one's. Raises SignerError when the Secret holds no usable root.
    """
    try:
        return _read(await kube.get(SECRETS, SECRET, settings.root_namespace), settings)
    except NotFound:
        fresh = authority.Authority.create(settings.trust_domain, now=datetime.now(UTC), algorithm=algorithm)
    try:
        await kube.create(SECRETS, _secret(fresh, settings))
    except Conflict:
        return _read(await kube.get(SECRETS, SECRET, settings.root_namespace), settings)
    logger.info("made a new root in Secret %s/%s", settings.root_namespace, SECRET)
    return fresh


async def distribute(kube: Store, settings: RootSettings, signer: authority.Authority) -> None:  # noqa: ARG001
    """Keep ConfigMap ``istio-ca-root-cert`` right in every namespace, for ever (IST-ROOT-DIST).

    A deleted or edited one is put right as soon as the watch tells of it; what
    fails is tried again with a growing pause.
    """
    keeper = _Keeper(kube, signer.root_pem)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.watch_namespaces())
        tasks.create_task(keeper.watch_config_maps())
        tasks.create_task(keeper.repair())


class _Keeper:
    """Which namespaces there are, which hold the right root, and the work that follows."""

    def __init__(self, kube: Store, root_pem: str) -> None:
        self._kube = kube
        self._data = {ROOT_KEY: root_pem}
        self._namespaces: set[str] = set()
        self._right: set[str] = set()
        self._synced: set[str] = set()
        self._changed = asyncio.Event()

    async def watch_namespaces(self) -> None:
        async for event in self._kube.watch(NAMESPACES):
            if event.kind == "synced":
                self._synced.add("namespaces")
            else:
                metadata = event.object["metadata"]
                leaving = event.kind == "delete" or "deletionTimestamp" in metadata
                if leaving or metadata["name"] in WITHOUT_ROOT:
                    self._namespaces.discard(metadata["name"])
                else:
                    self._namespaces.add(metadata["name"])
            self._changed.set()

    async def watch_config_maps(self) -> None:
        async for event in self._kube.watch(CONFIG_MAPS, field_selector=f"metadata.name={CONFIG_MAP}"):
            if event.kind == "synced":
                self._synced.add("config maps")
            elif event.kind == "upsert" and self._is_right(event.object):
                self._right.add(event.object["metadata"]["namespace"])
            else:
                self._right.discard(event.object["metadata"]["namespace"])
            self._changed.set()

    async def repair(self) -> None:
        pause = FIRST_RETRY_SECONDS
        while True:
            await self._changed.wait()
            self._changed.clear()
            if len(self._synced) < 2:
                continue  # before both lists are in, everything would look absent
            failed = False
            for namespace in sorted(self._namespaces - self._right):
                try:
                    await self._put(namespace)
                except MeshError as error:
                    failed = True
                    logger.warning("ConfigMap %s/%s could not be written: %s", namespace, CONFIG_MAP, error)
            if failed:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LAST_RETRY_SECONDS)
                self._changed.set()
            else:
                pause = FIRST_RETRY_SECONDS

    def _is_right(self, found: dict[str, Any]) -> bool:
        labels = found["metadata"].get("labels") or {}
        return found.get("data") == self._data and LABELS.items() <= labels.items()

    async def _put(self, namespace: str) -> None:
        wanted = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIG_MAP, "namespace": namespace, "labels": LABELS},
            "data": self._data,
        }
        try:
            await self._kube.create(CONFIG_MAPS, wanted)
        except Conflict:
            found = await self._kube.get(CONFIG_MAPS, CONFIG_MAP, namespace)
            if not self._is_right(found):
                labels = {**(found["metadata"].get("labels") or {}), **LABELS}
                found = {**found, "metadata": {**found["metadata"], "labels": labels}, "data": self._data}
                found.pop("binaryData", None)
                await self._kube.replace(CONFIG_MAPS, found)
        except NotFound:
            self._namespaces.discard(namespace)  # it went away in between
        # Right is what the watch saw, never what was just written: it may be gone again by now.


def _secret(signer: authority.Authority, settings: RootSettings) -> dict[str, Any]:
    contents = {"ca-cert.pem": signer.root_pem, "ca-key.pem": signer.key_pem()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {"name": SECRET, "namespace": settings.root_namespace},
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in contents.items()},
    }


def _read(secret: dict[str, Any], settings: RootSettings) -> authority.Authority:
    where = f"Secret {settings.root_namespace}/{SECRET}"
    try:
        certificate, key = (
            base64.b64decode(secret["data"][name], validate=True).decode() for name in ("ca-cert.pem", "ca-key.pem")
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise authority.SignerError(f"{where} needs ca-cert.pem and ca-key.pem, both PEM in base64") from error
    try:
        return authority.Authority.load(certificate, key, settings.trust_domain)
    except authority.SignerError as error:
        raise authority.SignerError(f"{where}: {error}; delete it for a new root") from error
