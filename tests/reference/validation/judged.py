"""A document before the embedded API server's own code and the webhook's own answer, in process: no HTTP, no TLS."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from mesh_reference.model import crds
from mesh_reference.webhooks import review, server
from pytest_mesh.clusters.local.apiserver import customdefinitions, preparing
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo

Json = dict[str, Any]


@cache
def _served() -> dict[tuple[str, str], ResourceInfo]:
    infos = [info for definition in crds.definitions() for info in customdefinitions.resources(definition)]
    return {(info.api_version, info.kind): info for info in infos}


def by_the_definition(document: Json) -> Json | None:
    """The Status with which schema or CEL refuses; None = they take it. A CEL rule that cannot be read fails the test."""
    info = _served()[document["apiVersion"], document["kind"]]
    try:
        decoded, unknown = preparing.decode(info, json.loads(json.dumps(document)))
        preparing.unknown_fields(info, unknown, "Strict")
        unread = preparing.check(info, decoded, None)
    except StatusError as refusal:
        return refusal.to_json()
    assert unread == []
    return None


def by_the_webhook(document: Json) -> Json | None:
    """The Status with which the webhook refuses, worded as an API server words it; None = it admits."""
    request = {"uid": "1", "operation": "CREATE", "namespace": "shop", "object": document}
    asked = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    response = server.answer_validate(review.parse(json.dumps(asked).encode()))["response"]
    if response["allowed"]:
        return None
    words = f'admission webhook "validation.istio.io" denied the request: {response["status"]["message"]}'
    return {**response["status"], "message": words}


def refusal_of(document: Json) -> Json | None:
    """The Status that a user sees; None = the document is taken."""
    return by_the_definition(document) or by_the_webhook(document)
