"""Keeps the CA bundle in the two webhook configurations right, so that the API server trusts this control plane.

It touches ``clientConfig.caBundle`` and nothing else; it creates no configuration.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import logging
from collections.abc import AsyncIterator
from typing import Any, Protocol

from mesh_reference.errors import ApiFailure, Conflict, NotFound
from mesh_reference.kube.resources import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Resource
from mesh_reference.kube.watching import Event
from mesh_reference.settings import Settings

Json = dict[str, Any]

FIRST_RETRY_SECONDS = 0.05
LAST_RETRY_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Store(Protocol):
    """The part of the Kubernetes client that is used here."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Json: ...
    async def replace(self, resource: Resource, obj: Json) -> Json: ...
    def watch(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Event]: ...


def injector_name(settings: Settings) -> str:
    """Name of the MutatingWebhookConfiguration: ``istio-sidecar-injector``, with the revision unless it is the default."""
    return "istio-sidecar-injector" + suffix(settings.revision)


def validator_name(settings: Settings) -> str:
    """Name of the ValidatingWebhookConfiguration: ``istio-validator-istio-system`` for the default revision."""
    return f"istio-validator{suffix(settings.revision)}-{settings.root_namespace}"


def suffix(revision: str) -> str:
    """What a revision adds to names: nothing for the default one."""
    return "" if revision in {"", "default"} else f"-{revision}"


async def maintain(kube: Store, settings: Settings, root_pem: str | bytes) -> None:
    """Sets the bundle now and after every change of the configurations; never returns."""
    pem = root_pem.encode() if isinstance(root_pem, str) else root_pem
    bundle = base64.b64encode(pem).decode("ascii")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_keep(kube, MUTATING_WEBHOOKS, injector_name(settings), bundle))
        tasks.create_task(_keep(kube, VALIDATING_WEBHOOKS, validator_name(settings), bundle))


async def _keep(kube: Store, resource: Resource, name: str, bundle: str) -> None:
    async for event in kube.watch(resource, field_selector=f"metadata.name={name}"):
        if event.kind == "upsert" and event.object["metadata"]["name"] == name:
            await _mend(kube, resource, event.object, bundle)


async def _mend(kube: Store, resource: Resource, configuration: Json, bundle: str) -> None:
    """Writes until it is right or gone: a write that loses a race is made again on the newer object."""
    name = configuration["metadata"]["name"]
    pause = FIRST_RETRY_SECONDS
    while True:
        mended = with_bundle(configuration, bundle)
        if mended == configuration:
            return
        try:
            await kube.replace(resource, mended)
        except NotFound:
            return
        except Conflict:
            _log.debug("%s %s changed meanwhile", resource.kind, name)
        except ApiFailure as problem:
            _log.warning("%s %s: its CA bundle cannot be set, trying again: %s", resource.kind, name, problem)
        else:
            _log.info("%s %s: CA bundle set", resource.kind, name)
            return
        await asyncio.sleep(pause)
        pause = min(pause * 2, LAST_RETRY_SECONDS)
        try:
            configuration = await kube.get(resource, name)
        except NotFound:
            return
        except ApiFailure as problem:
            _log.warning("%s %s cannot be read: %s", resource.kind, name, problem)


def with_bundle(configuration: Json, bundle: str) -> Json:
    """The configuration with the bundle (base64) in each of its webhooks that calls a Service."""
    result = copy.deepcopy(configuration)
    for webhook in result.get("webhooks") or ():
        if "service" in (webhook.get("clientConfig") or {}):
            webhook["clientConfig"]["caBundle"] = bundle
    return result
