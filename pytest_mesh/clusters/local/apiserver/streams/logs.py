"""``pods/log``: the kubelet's stream of lines, passed on. It keeps and cuts nothing itself."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from aiohttp import web

from pytest_mesh.clusters.local.apiserver import errors
from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.streams import bodies, targets

if TYPE_CHECKING:
    from multidict import MultiMapping

    from pytest_mesh.clusters.local.apiserver.store import Store
    from pytest_mesh.clusters.local.apiserver.streams.kubelet import Kubelet

_SWITCHES = ("follow", "previous", "timestamps")
_MINIMA = {"tailLines": 0, "sinceSeconds": 1, "limitBytes": 1}
_TRUE = {"1", "t", "T", "true", "TRUE", "True"}


async def serve(request: web.Request, store: Store, kubelet: Kubelet) -> web.StreamResponse:
    """Answer ``GET .../pods/{name}/log``."""
    namespace, name = request.match_info["namespace"], request.match_info["name"]
    pod = targets.pod(store, namespace, name)
    container = targets.container(pod, request.query.get("container", ""))
    query = options(request.query, name)
    if not pod["spec"].get("nodeName"):
        return web.Response(text="")
    async with kubelet.get(f"/containerLogs/{namespace}/{name}/{container}", query) as source:
        response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
        await response.prepare(request)
        await bodies.pump(request, response, source.content)
        await response.write_eof()
    return response


def options(query: MultiMapping[str], pod_name: str) -> list[tuple[str, str]]:
    """Give the kubelet's query for PodLogOptions; raises StatusError 400 or 422 for what they may not be."""
    causes = []
    found: list[tuple[str, str]] = [(name, "true") for name in _SWITCHES if truth(query.get(name, ""))]
    for name, least in _MINIMA.items():
        if not (text := query.get(name, "")):
            continue
        if not text.removeprefix("-").isdecimal():
            raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax ({name})')
        if int(text) < least:
            limit = "greater than or equal to 0" if least == 0 else "greater than 0"
            causes.append(Cause(field=name, message=f"Invalid value: {text}: must be {limit}"))
        found.append((name, text))
    if since := query.get("sinceTime", ""):
        try:
            dt.datetime.fromisoformat(since)
        except ValueError as error:
            raise errors.bad_request(f'sinceTime "{since}" is not an RFC 3339 time') from error
        if query.get("sinceSeconds"):
            text = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
            causes.append(Cause(field="", message=text, reason="FieldValueForbidden"))
        found.append(("sinceTime", since))
    if query.get("stream", "All") != "All":
        text = "Forbidden: may not be specified"
        causes.append(Cause(field="stream", message=text, reason="FieldValueForbidden"))
    if causes:
        raise errors.invalid("PodLogOptions", "", pod_name, causes)
    return found


def truth(text: str) -> bool:
    """Read a boolean query parameter as Kubernetes does: an unknown text is false."""
    return text in _TRUE
