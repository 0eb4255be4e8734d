"""AdmissionReview v1: taken apart and put together. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mesh_reference.errors import MeshError

Json = dict[str, Any]

API_VERSION = "admission.k8s.io/v1"


class ReviewError(MeshError):
    """A body that is no AdmissionReview; ``str()`` says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The question: what is about to be stored, where and how."""

    uid: str
    operation: str
    namespace: str
    object: Json
    dry_run: bool


def parse(body: bytes) -> Request:
    """The request of an AdmissionReview; raises `ReviewError`."""
    if not body:
        raise ReviewError("no body found")
    try:
        review = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise ReviewError(f"could not decode body: {problem}") from problem
    if not isinstance(review, dict) or review.get("kind") != "AdmissionReview":
        raise ReviewError(f"could not decode body: want an AdmissionReview of {API_VERSION}")
    if review.get("apiVersion") != API_VERSION:
        raise ReviewError(f"unsupported AdmissionReview {review.get('apiVersion')!r}: want {API_VERSION}")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str) or not request["uid"]:
        raise ReviewError("the AdmissionReview has no request with a uid")
    held = request.get("object")
    if held is not None and not isinstance(held, dict):
        raise ReviewError("request.object is not an object")
    return Request(
        uid=request["uid"],
        operation=str(request.get("operation") or ""),
        namespace=str(request.get("namespace") or ""),
        object=held or {},
        dry_run=bool(request.get("dryRun")),
    )


def allowed(request: Request, *, patch: Sequence[Json] = (), warnings: Sequence[str] = ()) -> Json:
    """The answer that lets the object pass, changed by the patch when there is one."""
    response: Json = {"uid": request.uid, "allowed": True}
    if patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode("ascii")
    return _answer(response, warnings)


def denied(request: Request, message: str, *, warnings: Sequence[str] = ()) -> Json:
    """The answer that refuses the object."""
    status = {"status": "Failure", "reason": "BadRequest", "code": 400, "message": message}
    return _answer({"uid": request.uid, "allowed": False, "status": status}, warnings)


def _answer(response: Json, warnings: Sequence[str]) -> Json:
    if warnings:
        response["warnings"] = list(warnings)
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
