"""A node proxy that asks for the certificates of the pods on its node (IST-IMP, C3).

Off unless the operator names trusted accounts. It deliberately believes
nothing but the API server: pod, UID, account and node of the caller, and that
the asked identity runs on that node.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from mesh_reference.ca.identities import IdentityError, parse
from mesh_reference.errors import MeshError, NotFound
from mesh_reference.kube.resources import PODS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mesh_reference.ca.authentication import Caller
    from mesh_reference.ca.authority import Identity
    from mesh_reference.kube.resources import Resource

REVIEW_SECONDS = 5.0
ENDED = ("Succeeded", "Failed")


class ImpersonationError(MeshError):
    """The caller may not have this identity. Its text is for the log only."""


class Pods(Protocol):
    """The part of the Kubernetes client that is used here."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]: ...
    async def list(
        self, resource: Resource, namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> list[dict[str, Any]]: ...


class NodeProxies:
    """Judges who may ask for another's certificate."""

    def __init__(self, kube: Pods, trusted: Iterable[str] = ()) -> None:
        """``trusted`` are service accounts as ``namespace/name``; none of them = nobody may."""
        self._kube = kube
        self._trusted = frozenset(trusted)

    async def authorize(self, caller: Caller, wanted: str, trust_domain: str) -> Identity:
        """Give the identity that ``wanted`` spells, when ``caller`` may have it. Raises ImpersonationError."""
        account = f"{caller.namespace}/{caller.service_account}"
        if account not in self._trusted:
            raise ImpersonationError(f"{account} is no trusted node account")
        if not (caller.pod_name and caller.pod_uid):
            raise ImpersonationError(f"the token of {account} is bound to no pod")
        try:
            identity = parse(wanted, trust_domain)
        except IdentityError as error:
            raise ImpersonationError(str(error)) from error
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                node = await self._node_of(caller)
                there = await self._kube.list(
                    PODS, identity.namespace, field_selector=f"spec.nodeName={node},status.phase!=Succeeded"
                )
        except (MeshError, TimeoutError) as error:
            raise ImpersonationError(f"the pods of {account} cannot be looked up: {error!r}") from error
        if not any(_runs_as(pod, identity.service_account, node) for pod in there):
            raise ImpersonationError(f"no pod of {identity.uri} runs on node {node} of {caller.pod_name}")
        return identity

    async def _node_of(self, caller: Caller) -> str:
        try:
            pod = await self._kube.get(PODS, caller.pod_name, caller.namespace)
        except NotFound as error:
            raise ImpersonationError(f"pod {caller.namespace}/{caller.pod_name} is gone") from error
        if pod["metadata"].get("uid") != caller.pod_uid:
            raise ImpersonationError(f"pod {caller.namespace}/{caller.pod_name} is another one by now")
        node = str(pod["spec"].get("nodeName") or "")
        if not node or not _runs_as(pod, caller.service_account, node):
            raise ImpersonationError(f"pod {caller.namespace}/{caller.pod_name} does not run as the token says")
        return node


def _runs_as(pod: dict[str, Any], account: str, node: str) -> bool:
    spec = pod.get("spec") or {}
    return (
        (spec.get("serviceAccountName") or "default") == account
        and spec.get("nodeName") == node
        and (pod.get("status") or {}).get("phase") not in ENDED
    )
