"""Admission: what may change or refuse a write before it is stored.

ServiceAccount for Pods, then mutating webhooks (a second round if asked for), then validating ones.
It does not validate schemas, nor check that a namespace exists; ``writing`` does.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors, podaccounts
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.webhooks import calling, conditions, matching, reviews
from pytest_mesh.clusters.local.apiserver.webhooks.matching import Attributes, Operation, Webhook

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from pytest_mesh.clusters.local.apiserver.registry import Registry, ResourceInfo
    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.clusters.local.apiserver.users import UserInfo
    from pytest_mesh.contracts import Json

logger = logging.getLogger(__name__)

ACCOUNT_WAIT = 5.0
"""Seconds that a Pod waits for the ``default`` ServiceAccount of a new namespace."""

_NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What Kubernetes makes random names of: nothing that reads as a word."""

_MUTATING = f"mutatingwebhookconfigurations.{matching.EXEMPT_GROUP}"
_VALIDATING = f"validatingwebhookconfigurations.{matching.EXEMPT_GROUP}"

_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A review to send, and the version of the resource that it speaks of."""

    seen_as: ResourceInfo
    review: Json


class Admission:
    """Every write passes here. Raises StatusError for a refusal."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

    async def admit(
        self,
        operation: Operation,
        resource: ResourceInfo,
        obj: Json | None,
        old: Json | None,
        *,
        namespace: str,
        name: str,
        user: UserInfo,
        dry_run: bool,
        subresource: str = "",
    ) -> tuple[Json | None, list[str]]:
        """Give the object to store (``obj`` itself if nothing changed it) and warnings for the client."""
        if resource.key != "pods" and not self._is_judged(resource):
            return obj, []
        attributes = self.attributes(
            operation,
            resource,
            obj,
            old,
            namespace=namespace,
            name=name,
            user=user,
            dry_run=dry_run,
            subresource=subresource,
        )
        changed, warnings = await self.mutate(attributes)
        return changed, warnings + await self.validate(replace(attributes, obj=changed))

    @staticmethod
    def attributes(
        operation: Operation,
        resource: ResourceInfo,
        obj: Json | None,
        old: Json | None,
        *,
        namespace: str,
        name: str,
        user: UserInfo,
        dry_run: bool,
        subresource: str = "",
    ) -> Attributes:
        """Describe a request for :meth:`mutate` and :meth:`validate`, between which a caller may check schemas."""
        options: Json = {}
        if kind := _OPTIONS.get(operation):
            options = {"kind": kind, "apiVersion": "meta.k8s.io/v1", **({"dryRun": ["All"]} if dry_run else {})}
        return Attributes(
            operation=operation,
            resource=resource,
            obj=obj,
            old=old,
            namespace=namespace,
            name=name,
            user=user,
            dry_run=dry_run,
            subresource=subresource,
            options=options,
        )

    async def mutate(self, attributes: Attributes) -> tuple[Json | None, list[str]]:
        """Give the object after ServiceAccount and the mutating webhooks, and the webhooks' warnings."""
        obj = await self._with_service_account(attributes, attributes.obj)
        hooks = self._webhooks(_MUTATING, attributes, mutating=True)
        if not hooks:
            return obj, []
        warnings: list[str] = []
        again: set[str] = set()
        candidates: set[str] = set()
        first = obj
        for hook in hooks:
            asked = self._question(hook, replace(attributes, obj=obj))
            if asked is None:
                continue
            before = obj
            obj = await self._mutate_once(hook, asked, replace(attributes, obj=obj), warnings)
            if obj is not before:
                again |= candidates
                candidates.clear()
            if hook.reinvocable:
                candidates.add(hook.uid)
        if obj is first:
            return obj, warnings
        # What a webhook added (a container) the plugin has not seen; what the plugin then adds, webhooks have not.
        before = obj
        obj = await self._with_service_account(attributes, obj)
        if obj is not before:
            again |= candidates
        for hook in hooks:
            if hook.uid in again and (asked := self._question(hook, replace(attributes, obj=obj))) is not None:
                obj = await self._mutate_once(hook, asked, replace(attributes, obj=obj), warnings)
        return obj, warnings

    async def validate(self, attributes: Attributes) -> list[str]:
        """Ask every validating webhook at once; give their warnings or raise the first refusal."""
        hooks = self._webhooks(_VALIDATING, attributes, mutating=False)
        questions = [(hook, asked) for hook in hooks if (asked := self._question(hook, attributes)) is not None]
        if not questions:
            return []
        warnings: list[list[str]] = [[] for _ in questions]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_caught(self._ask(hook, asked, attributes, into)))
                for (hook, asked), into in zip(questions, warnings, strict=True)
            ]
        for task in tasks:
            if refusal := task.result():
                raise refusal
        return [warning for some in warnings for warning in some]

    # ------------------------------------------------------------ webhooks

    def _is_judged(self, resource: ResourceInfo) -> bool:
        """Say whether there is any webhook that may have a word about this resource."""
        return not matching.is_exempt(resource) and any(self._store.count(key) for key in (_MUTATING, _VALIDATING))

    def _webhooks(self, key: str, attributes: Attributes, *, mutating: bool) -> list[Webhook]:
        if matching.is_exempt(attributes.resource):
            return []
        return list(matching.webhooks_of(self._store.list(key), mutating=mutating))

    async def _mutate_once(
        self, hook: Webhook, asked: _Question, attributes: Attributes, warnings: list[str]
    ) -> Json | None:
        """Ask one mutating webhook; give the object as it leaves it, the same one if it changed nothing."""
        answer = await self._ask(hook, asked, attributes, warnings)
        if answer is None or not answer.patch:
            return attributes.obj
        if attributes.obj is None:
            raise _internal(
                f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this '
                "operation"
            )
        patched = _patched(asked.review["request"]["object"], answer.patch)
        changed = reviews.converted(patched, asked.seen_as, attributes.resource)
        return attributes.obj if changed == attributes.obj else changed

    async def _ask(
        self, hook: Webhook, asked: _Question, attributes: Attributes, warnings: list[str]
    ) -> reviews.Answer | None:
        """Ask a webhook; None if it failed and its failures are ignored.

        Raises StatusError for a refusal, and for a failure that is not ignored.
        """
        if attributes.dry_run and hook.spec.get("sideEffects") not in {"None", "NoneOnDryRun"}:
            raise errors.bad_request(f'admission webhook "{hook.name}" does not support dry run')
        started = time.monotonic()
        try:
            raw = await calling.call(hook, asked.review, self._store)
            answer = reviews.read_answer(raw, asked=asked.review, mutating=hook.mutating)
        except calling.CallError as error:
            return self._failed(hook, str(error), error)
        except reviews.InvalidAnswerError as error:
            return self._failed(hook, f"received invalid webhook response: {error}", error)
        logger.debug("webhook %s answered after %.1f ms", hook.name, 1000 * (time.monotonic() - started))
        warnings.extend(answer.warnings)
        if not answer.allowed:
            raise reviews.denial(hook.name, answer.result)
        return answer

    def _question(self, hook: Webhook, attributes: Attributes) -> _Question | None:
        """Give what to ask the webhook; None if the request does not concern it."""
        seen_as = self._concerned(hook, attributes)
        if seen_as is None:
            return None
        try:
            review = reviews.question(hook, attributes, seen_as, uid=str(uuid.uuid4()))
        except reviews.InvalidAnswerError as error:
            return self._failed(hook, f"could not create admission objects: {error}", error)
        try:
            concerned = conditions.hold(hook.spec.get("matchConditions") or (), review)
        except conditions.ConditionError as error:
            if hook.ignores_failures:
                return None
            plural, group = attributes.resource.plural, attributes.resource.group
            raise errors.forbidden(plural, group, attributes.name, str(error)) from error
        return _Question(seen_as=seen_as, review=review) if concerned else None

    def _concerned(self, hook: Webhook, attributes: Attributes) -> ResourceInfo | None:
        """Give the form of the resource in which the webhook wants the request, by rules and selectors."""
        versions = self._registry.versions_of(attributes.resource.key)
        seen_as = matching.matching_resource(hook, attributes, versions)
        if seen_as is None or not matching.objects_selected(hook, attributes):
            return None
        selector = matching.namespace_selector(hook, attributes)
        if selector is not None:
            stored = self._store.get("namespaces", "", attributes.review_namespace)
            labels = matching.namespace_labels(attributes, stored)
            if labels is None:
                raise errors.not_found("namespaces", "", attributes.review_namespace)
            if not matching.selects(selector, labels):
                return None
        return seen_as

    @staticmethod
    def _failed(hook: Webhook, reason: str, cause: Exception) -> None:
        """Apply the failure policy to a webhook that could not be asked."""
        text = f'failed calling webhook "{hook.name}": {reason}'
        if hook.ignores_failures:
            logger.warning("ignored, as the webhook's failurePolicy says: %s", text)
            return
        raise _internal(text) from cause

    # ------------------------------------------------------------ service accounts

    async def _with_service_account(self, attributes: Attributes, obj: Json | None) -> Json | None:
        """Give a new Pod with its ServiceAccount's name, token volume and mounts; anything else as it is."""
        if attributes.resource.key != "pods" or attributes.subresource or attributes.operation != "CREATE":
            return obj
        if obj is None or podaccounts.MIRROR_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            return obj
        name = podaccounts.account_name(obj)
        account = await self._service_account(attributes.namespace, name)
        if account is None:
            pod = obj["metadata"].get("name") or obj["metadata"].get("generateName", "")
            raise errors.forbidden(
                "pods",
                "",
                pod,
                f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found',
            )
        return podaccounts.with_account(obj, account, _suffix)

    async def _service_account(self, namespace: str, name: str) -> Json | None:
        account = self._store.get("serviceaccounts", namespace, name)
        if account is not None or name != "default":
            return account
        # A controller makes it shortly after the namespace.
        loop = asyncio.get_running_loop()
        until = loop.time() + ACCOUNT_WAIT
        subscription = self._store.subscribe("serviceaccounts")
        try:
            while account is None and (left := until - loop.time()) > 0 and not self._store.stopped:
                await subscription.wait(left)
                subscription.pending.clear()
                account = self._store.get("serviceaccounts", namespace, name)
        finally:
            self._store.unsubscribe("serviceaccounts", subscription)
        return account


async def _caught(asking: Awaitable[object]) -> StatusError | None:
    """Give the refusal that an ``_ask`` raises, so that the others are asked to the end."""
    try:
        await asking
    except StatusError as error:
        return error
    return None


def _patched(obj: Json, operations: list[Json]) -> Json:
    import jsonpatch

    try:
        patched: Json = jsonpatch.JsonPatch(operations).apply(obj)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, KeyError) as error:
        raise _internal(str(error)) from error
    return patched


def _internal(text: str) -> StatusError:
    return StatusError(
        500, "InternalError", f"Internal error occurred: {text}", details={"causes": [{"message": text}]}
    )


def _suffix() -> str:
    return "".join(random.choices(_NAME_LETTERS, k=5))  # noqa: S311 - a name, not a secret
