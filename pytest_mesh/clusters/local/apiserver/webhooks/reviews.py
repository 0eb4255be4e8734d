"""AdmissionReview objects: the question made, the answer read. Pure but for the question's uid.

Nothing is sent here (``calling``) and no failure policy is applied (``admission``).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver.errors import StatusError

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.webhooks.matching import Attributes, Webhook
    from pytest_mesh.contracts import Json

GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")


class InvalidAnswerError(Exception):
    """The webhook's answer is no valid AdmissionReview; the text says why, as kube-apiserver would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a webhook decided. ``patch`` is a list of RFC 6902 operations."""

    allowed: bool
    patch: list[Json] = field(default_factory=list)
    result: Json | None = None
    warnings: list[str] = field(default_factory=list)


def question(webhook: Webhook, attributes: Attributes, seen_as: ResourceInfo, *, uid: str) -> Json:
    """Make the AdmissionReview to send: the request in the version ``seen_as``.

    Raises InvalidAnswerError if the webhook reads no version of AdmissionReview that is spoken here.
    """
    version = next((one for one in webhook.spec.get("admissionReviewVersions") or ("v1",) if one in VERSIONS), None)
    if version is None:
        raise InvalidAnswerError("webhook does not accept known AdmissionReview versions (v1beta1, v1)")
    own = attributes.resource
    subject = attributes.obj if attributes.obj is not None else attributes.old
    request: Json = {
        "uid": uid,
        "kind": _kind(subject, own, seen_as),
        "resource": {"group": seen_as.group, "version": seen_as.version, "resource": seen_as.plural},
        "requestKind": _kind(subject, own, own),
        "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
        "operation": attributes.operation,
        "userInfo": attributes.user.to_json(),
        "object": converted(attributes.obj, own, seen_as),
        "oldObject": converted(attributes.old, own, seen_as),
        "dryRun": attributes.dry_run,
        "options": attributes.options or None,
    }
    if attributes.subresource:
        request["subResource"] = request["requestSubResource"] = attributes.subresource
    if attributes.name:
        request["name"] = attributes.name
    if attributes.review_namespace:
        request["namespace"] = attributes.review_namespace
    return {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


def converted(obj: Json | None, source: ResourceInfo, target: ResourceInfo) -> Json | None:
    """Give ``obj`` in another served version. Versions differ in their name only: there are no conversion webhooks."""
    if obj is None or source.api_version == target.api_version or obj.get("apiVersion") != source.api_version:
        return obj
    return {**obj, "apiVersion": target.api_version}


def _kind(subject: Json | None, own: ResourceInfo, seen_as: ResourceInfo) -> Json:
    # A subresource may have a kind of its own (Scale, PodExecOptions); the object says so.
    if subject is not None and subject.get("kind") not in {None, own.kind}:
        group, _, version = str(subject.get("apiVersion", "")).rpartition("/")
        return {"group": group, "version": version, "kind": subject["kind"]}
    return {"group": seen_as.group, "version": seen_as.version, "kind": seen_as.kind}


def read_answer(review: Any, *, asked: Json, mutating: bool) -> Answer:
    """Read what the webhook sent back; raises InvalidAnswerError."""
    response = review.get("response") if isinstance(review, dict) else None
    if not isinstance(response, dict):
        raise InvalidAnswerError("webhook response was absent")
    patch, patch_type = response.get("patch") or "", response.get("patchType")
    if asked["apiVersion"] == f"{GROUP}/v1":
        uid = asked["request"]["uid"]
        if response.get("uid", "") != uid:
            raise InvalidAnswerError(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
        got = (review.get("apiVersion", ""), review.get("kind", ""))
        if got != (f"{GROUP}/v1", "AdmissionReview"):
            raise InvalidAnswerError(
                f"expected webhook response of {GROUP}/v1, Kind=AdmissionReview, got {got[0]}, Kind={got[1]}"
            )
        _check_patch_type(patch, patch_type, mutating=mutating)
    elif patch:
        patch_type = "JSONPatch"
    warnings = response.get("warnings") or ()
    return Answer(
        allowed=bool(response.get("allowed", False)),
        patch=_read_patch(patch, patch_type) if mutating and response.get("allowed") else [],
        result=response.get("status"),
        warnings=[str(warning) for warning in warnings],
    )


def _check_patch_type(patch: str, patch_type: str | None, *, mutating: bool) -> None:
    if not mutating:
        if patch:
            raise InvalidAnswerError("validating webhook may not return response.patch")
        if patch_type is not None:
            raise InvalidAnswerError("validating webhook may not return response.patchType")
    elif patch and patch_type is None:
        raise InvalidAnswerError("webhook returned response.patch but not response.patchType")
    elif not patch and patch_type is not None:
        raise InvalidAnswerError("webhook returned response.patchType but not response.patch")
    elif patch_type is not None and not patch_type:
        raise InvalidAnswerError('webhook returned invalid response.patchType of ""')


def _read_patch(patch: str, patch_type: str | None) -> list[Json]:
    if not patch:
        return []
    if patch_type != "JSONPatch":
        raise InvalidAnswerError(f'unsupported patch type "{patch_type}"')
    try:
        operations = json.loads(base64.b64decode(patch, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidAnswerError(f"received undecodable patch in webhook response: {error}") from error
    if not isinstance(operations, list):
        raise InvalidAnswerError("received undecodable patch in webhook response: not a list of operations")
    return operations


def denial(webhook_name: str, result: Json | None) -> StatusError:
    """Give the refusal that the client sees, worded and coded as kube-apiserver does (400 if the webhook names none)."""
    status = result or {}
    denied = f'admission webhook "{webhook_name}" denied the request'
    reason = str(status.get("reason") or "")
    message = status.get("message") or reason
    code = int(status.get("code") or 0)
    return StatusError(
        max(code, 400) if code < 600 else 400,
        reason,
        f"{denied}: {message}" if message else f"{denied} without explanation",
        details=status.get("details"),
    )
