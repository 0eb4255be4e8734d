"""What the oracle says of the requests that a failed test sent: by which lines of which documents, what must come.

It reads what the test applied and asked; it sends nothing and judges nothing. Where
the documents are beyond the oracle, it says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pytest_mesh.contracts import Json

MOST: Final = 5
"""Requests that are explained: the last ones."""
_UNCONCERNED: Final = frozenset({"ConfigMap", "Secret", "ServiceAccount", "Namespace"})
"""Kinds that decide nothing about where a request goes."""
_POLICIES: Final = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "Telemetry", "Sidecar")


def explain(documents: Sequence[Json], namespace: str, transcript: Iterable[Json], *, most: int = MOST) -> str:
    """Explain the last requests of a namespace's clients, newest first; empty where none was sent. Never raises."""
    asked = _last_requests(one for one in transcript if one.get("namespace") == namespace)[:most]
    if not asked:
        return ""
    concerned = [one for one in documents if one.get("kind") not in _UNCONCERNED]
    told = [_explained(concerned, namespace, client, request) for client, request in asked]
    return "What must come, by the documents that the test applied:\n\n" + "\n\n".join(told) + "\n"


def _last_requests(transcript: Iterable[Json]) -> list[tuple[str, Mapping[str, Any]]]:
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for entry in transcript:
        for request in (entry.get("batch") or {}).get("requests", ()):
            key = f"{entry['client']} {request['method']} {request['url']} {request['headers']}"
            found.pop(key, None)
            found[key] = (str(entry["client"]), request)
    return list(reversed(found.values()))


def _explained(documents: Sequence[Json], namespace: str, client: str, request: Mapping[str, Any]) -> str:
    from pytest_mesh.offline import offline

    headers = {str(name): str(value) for name, value in request["headers"]}
    try:
        labels = {"app": client}
        mesh = offline(list(documents), namespace=namespace, labels=labels, ignoring=_POLICIES, assume_pods=False)
        return f"{client}: {mesh.request(request['method'], request['url'], headers=headers).explain()}"
    except Exception as error:  # noqa: BLE001 - an explanation that cannot be had must not hide the failure
        return f"{client}: {request['method']} {request['url']}: the oracle cannot say: {error}"
