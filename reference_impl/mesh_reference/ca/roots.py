"""Where the root lives in Kubernetes: its Secret, and the ConfigMap that carries it into every namespace.

Secret ``cacerts``, the operator's own, goes before ``istio-ca-secret``, which
is made when there is neither. It deliberately does not sign, and whether a
successor is lawful is ``succession``'s word.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from mesh_reference.ca import authority, metrics, plugged_in
from mesh_reference.ca.succession import Succession
from mesh_reference.discovery import discovers
from mesh_reference.errors import ApiFailure, Conflict, MeshError, NotFound
from mesh_reference.kube.resources import CONFIG_MAPS, NAMESPACES, SECRETS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cryptography import x509

    from mesh_reference.discovery import Selector
    from mesh_reference.kube.resources import Resource
    from mesh_reference.kube.watching import Event

logger = logging.getLogger(__name__)

SECRET = "istio-ca-secret"  # noqa: S105 - a name, not a secret
PLUGGED_IN = "cacerts"
SECRET_TYPE = "istio.io/ca-root"  # noqa: S105
CONFIG_MAP = "istio-ca-root-cert"
ROOT_KEY = "root-cert.pem"
LABELS = {"istio.io/config": "true"}
WITHOUT_ROOT = frozenset({"kube-public", "kube-node-lease", "local-path-storage"})
"""Namespaces where no workload runs (IST-ROOT-DIST); kube-system is not among them."""
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 15.0
RENEWAL_CHECK = timedelta(hours=1)
RENEWAL_SHARE = 0.2
"""A self-signed root is renewed in the last fifth of its life (IST-ROOT-ROT)."""


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

    @property
    def discovery_selectors(self) -> tuple[Selector, ...]:
        """Which namespaces get the root certificate; empty = all."""

    @property
    def default_workload_ttl(self) -> float:
        """Seconds, for requests that name no life."""

    @property
    def max_workload_ttl(self) -> float:
        """Seconds; a longer wish is an error."""

    @property
    def ed25519(self) -> bool:
        """Whether workloads' keys may be Ed25519."""


async def load_or_create(
    kube: Store, settings: RootSettings, *, algorithm: authority.KeyAlgorithm = "ECDSA-P256"
) -> Succession:
    """Give the mesh's authority: Secret ``cacerts``, else ``istio-ca-secret``, made first if it is absent.

    Two istiods that start at once agree: whose create comes second reads the
    first one's. Raises SignerError when the Secret holds no usable root.
    """
    try:
        found = await kube.get(SECRETS, PLUGGED_IN, settings.root_namespace)
        return Succession(_read_plugged_in(found, settings), plugged_in=True)
    except NotFound:
        pass
    except ApiFailure as error:
        if error.status != 403:
            raise
        logger.error("Secret %s is not looked for, the rights do not reach: %s", PLUGGED_IN, error)  # noqa: TRY400
    try:
        return Succession(_read(await kube.get(SECRETS, SECRET, settings.root_namespace), settings))
    except NotFound:
        fresh = authority.Authority.create(
            settings.trust_domain, now=datetime.now(UTC), algorithm=algorithm, policy=_policy(settings)
        )
    try:
        await kube.create(SECRETS, _secret(fresh, settings))
    except Conflict:
        return Succession(_read(await kube.get(SECRETS, SECRET, settings.root_namespace), settings))
    logger.info("made a new root in Secret %s/%s", settings.root_namespace, SECRET)
    return Succession(fresh)


async def distribute(kube: Store, settings: RootSettings, signer: authority.Authority | Succession) -> None:
    """Keep ConfigMap ``istio-ca-root-cert`` right in every namespace, for ever (IST-ROOT-DIST).

    A deleted or edited one is put right as soon as the watch tells of it; what
    fails is tried again with a growing pause. With a Succession the Secret is
    followed too: a lawful successor comes into force, an unlawful one is an
    error in the log and changes nothing.
    """
    keeper = _Keeper(kube, signer.root_pem, settings.discovery_selectors)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keeper.watch_namespaces())
        tasks.create_task(keeper.watch_config_maps())
        tasks.create_task(keeper.repair())
        if isinstance(signer, Succession):
            tasks.create_task(_publish(keeper, signer))
            if signer.plugged_in:
                tasks.create_task(_follow(kube, settings, signer))
            else:
                tasks.create_task(_renew(kube, settings, signer))


async def _publish(keeper: _Keeper, succession: Succession) -> None:
    current = None
    while True:
        current = succession.current if current is None else await succession.newer_than(current)
        keeper.publish(current.root_pem)


async def _follow(kube: Store, settings: RootSettings, succession: Succession) -> None:
    """Take changes of Secret ``cacerts`` as they come (IST-PLUG); what cannot be taken changes nothing."""
    where = f"Secret {settings.root_namespace}/{PLUGGED_IN}"
    stream = kube.watch(SECRETS, settings.root_namespace, field_selector=f"metadata.name={PLUGGED_IN}")
    async for event in stream:
        if event.kind == "synced" or event.object["metadata"]["name"] != PLUGGED_IN:
            continue
        if event.kind == "delete":
            logger.error("%s is gone; what was read from it stays in force until istiod restarts", where)
            continue
        try:
            await succession.replace(_read_plugged_in(event.object, settings))
        except authority.SignerError as error:
            metrics.ROOT_REFUSALS.inc()
            logger.error("%s stays as it was: %s", where, error)  # noqa: TRY400 - the text says it


async def _renew(kube: Store, settings: RootSettings, succession: Succession) -> None:
    """Renew a self-signed root in the last fifth of its life, with the same key (IST-ROOT-ROT)."""
    while True:
        now = datetime.now(UTC)
        if renewal_due(succession.current.certificate, now):
            fresh = succession.current.renewed(now)
            try:
                found = await kube.get(SECRETS, SECRET, settings.root_namespace)
                await kube.replace(SECRETS, {**found, "data": {**found["data"], **_secret(fresh, settings)["data"]}})
                await succession.replace(fresh)
            except MeshError as error:
                logger.error("the root could not be renewed, the old one stays: %s", error)  # noqa: TRY400
        # Not all istiods at the same instant: who comes second finds a Conflict, and a fresh root.
        await asyncio.sleep(RENEWAL_CHECK.total_seconds() * random.uniform(0.9, 1.1))  # noqa: S311


def renewal_due(root: x509.Certificate, now: datetime) -> bool:
    """Tell whether a root is in the last fifth of its life, or past it."""
    life = root.not_valid_after_utc - root.not_valid_before_utc
    return root.not_valid_after_utc - now <= life * RENEWAL_SHARE


class _Keeper:
    """Which namespaces there are, which hold the right root, and the work that follows."""

    def __init__(self, kube: Store, root_pem: str, selectors: tuple[Selector, ...] = ()) -> None:
        self._kube = kube
        self._selectors = selectors
        self._data = {ROOT_KEY: root_pem}
        self._seen: dict[str, dict[str, Any]] = {}
        self._namespaces: set[str] = set()
        self._right: set[str] = set()
        self._synced: set[str] = set()
        self._changed = asyncio.Event()

    def publish(self, root_pem: str) -> None:
        """Take another bundle: every ConfigMap that does not hold it is written anew."""
        self._data = {ROOT_KEY: root_pem}
        self._right = {namespace for namespace, found in self._seen.items() if self._is_right(found)}
        self._changed.set()

    async def watch_namespaces(self) -> None:
        async for event in self._kube.watch(NAMESPACES):
            if event.kind == "synced":
                self._synced.add("namespaces")
            else:
                metadata = event.object["metadata"]
                leaving = event.kind == "delete" or "deletionTimestamp" in metadata
                known = metadata["name"] not in WITHOUT_ROOT and discovers(self._selectors, event.object)
                if leaving or not known:
                    self._namespaces.discard(metadata["name"])
                else:
                    self._namespaces.add(metadata["name"])
            self._changed.set()

    async def watch_config_maps(self) -> None:
        async for event in self._kube.watch(CONFIG_MAPS, field_selector=f"metadata.name={CONFIG_MAP}"):
            if event.kind == "synced":
                self._synced.add("config maps")
                self._changed.set()
                continue
            namespace = event.object["metadata"]["namespace"]
            if event.kind == "upsert":
                self._seen[namespace] = event.object
            else:
                self._seen.pop(namespace, None)
            if event.kind == "upsert" and self._is_right(event.object):
                self._right.add(namespace)
            else:
                self._right.discard(namespace)
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


def _policy(settings: RootSettings) -> authority.Policy:
    return authority.Policy(
        default_ttl=timedelta(seconds=settings.default_workload_ttl),
        max_ttl=timedelta(seconds=settings.max_workload_ttl),
        ed25519=settings.ed25519,
    )


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
        return authority.Authority.load(certificate, key, settings.trust_domain, policy=_policy(settings))
    except authority.SignerError as error:
        raise authority.SignerError(f"{where}: {error}; delete it for a new root") from error


def _read_plugged_in(secret: dict[str, Any], settings: RootSettings) -> authority.Authority:
    where = f"Secret {settings.root_namespace}/{PLUGGED_IN}"
    try:
        files = {name: base64.b64decode(text, validate=True) for name, text in (secret.get("data") or {}).items()}
        return plugged_in.read(
            files, trust_domain=settings.trust_domain, now=datetime.now(UTC), policy=_policy(settings)
        )
    except (TypeError, ValueError, binascii.Error) as error:
        raise authority.SignerError(f"{where}: its data is not base64") from error
    except authority.SignerError as error:
        raise authority.SignerError(f"{where}: {error}") from error
