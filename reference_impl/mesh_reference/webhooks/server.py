"""The HTTP application behind the webhook port: POST /inject, /inject/... and /validate.

It decides nothing itself and knows no TLS: the control plane serves it over HTTPS.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from mesh_reference.errors import MeshError
from mesh_reference.injection.decision import decide
from mesh_reference.injection.injector import inject, patch_of
from mesh_reference.injection.pod_shape import check_pod
from mesh_reference.injection.settings import InjectionSettings
from mesh_reference.validation import findings, galley
from mesh_reference.webhooks import review
from mesh_reference.webhooks.paths import environment_of

Json = dict[str, Any]

_MAX_BODY = 8 * 1024 * 1024
_log = logging.getLogger(__name__)


def application(injection: Callable[[], InjectionSettings]) -> web.Application:
    """The webhooks; ``injection`` is asked for the settings at each pod, so that they may change."""
    app = web.Application(client_max_size=_MAX_BODY)

    async def serve_inject(request: web.Request) -> web.Response:
        asked = await _read(request)
        return web.json_response(answer_inject(asked, request.path, injection()))

    async def serve_validate(request: web.Request) -> web.Response:
        return web.json_response(answer_validate(await _read(request)))

    app.router.add_post("/inject", serve_inject)
    app.router.add_post("/inject/{tail:.*}", serve_inject)
    app.router.add_post("/validate", serve_validate)
    app.router.add_post("/validate/{tail:.*}", serve_validate)
    return app


async def _read(request: web.Request) -> review.Request:
    body = await request.read()
    if not body:
        raise web.HTTPBadRequest(text="no body found")
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="invalid Content-Type, want `application/json`")
    try:
        return review.parse(body)
    except review.ReviewError as problem:
        raise web.HTTPBadRequest(text=str(problem)) from problem


def answer_inject(request: review.Request, path: str, settings: InjectionSettings) -> Json:
    """The AdmissionReview that answers the creation of a pod; ``path`` may carry environment (/inject/cluster/c)."""
    pod = request.object
    metadata = pod.get("metadata")
    namespace = (metadata.get("namespace") if isinstance(metadata, dict) else "") or request.namespace
    warnings: list[str] = []
    try:
        check_pod(pod)
        decision = decide(pod, namespace, settings)
        warnings += [decision.warning] if decision.warning else []
        if not decision.inject:
            _log.info("pod in %s is not injected: %s", namespace, decision.reason)
            return review.allowed(request, warnings=warnings)
        injected = inject(pod, namespace, settings, environment=environment_of(path))
    except MeshError as problem:
        _log.warning("pod in %s cannot be injected: %s", namespace, problem)
        return review.denied(request, str(problem), warnings=warnings)
    return review.allowed(request, patch=patch_of(pod, injected), warnings=[*warnings, *injected.warnings])


def answer_validate(request: review.Request) -> Json:
    """The AdmissionReview that answers the creation or change of a resource of the mesh."""
    if request.operation not in {"CREATE", "UPDATE"}:
        return review.allowed(request)
    found = galley.validate(request.object, namespace=request.namespace)
    warnings = [finding.text for finding in findings.warnings(found)]
    refusal = findings.refusal(found)
    if refusal:
        _log.info("%s refused: %s", request.object.get("kind"), refusal)
        return review.denied(request, refusal, warnings=warnings)
    return review.allowed(request, warnings=warnings)
