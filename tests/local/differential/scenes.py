"""Requests to an API server, as data: a scene is a list of them that runs in a namespace of its own.

``$ns`` in a path or a body is the scene's namespace, other ``$name`` what an earlier request of the scene kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JSON, YAML = "application/json", "application/yaml"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``keep`` = names for values of the answer, by dotted path; ``events`` = read so many of a watch.

    ``only`` = dotted paths of the answer that are compared, empty = all of it. ``token`` is a bearer token, "admin" the
    administrator's, "" none at all.
    """

    method: str
    path: str
    body: Any = None
    content_type: str = JSON
    accept: str = JSON
    token: str = "admin"
    headers: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
    events: int = 0
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Requests in order; ``family/name/index`` names one of them. Without ``namespace`` none is made for it."""

    family: str
    name: str
    requests: tuple[Request, ...]
    namespace: bool = True


def scene(family: str, name: str, *requests: Request, namespace: bool = True) -> Scene:
    return Scene(family=family, name=name, requests=requests, namespace=namespace)


def core(plural: str, *rest: str) -> str:
    """The path of a namespaced resource of the core group."""
    return "/".join(("/api/v1/namespaces/$ns", plural, *rest))


def named(group_version: str, plural: str, *rest: str) -> str:
    """The path of a namespaced resource of a group."""
    return "/".join((f"/apis/{group_version}/namespaces/$ns", plural, *rest))


def get(path: str, **more: Any) -> Request:
    return Request(method="GET", path=path, **more)


def post(path: str, body: Any, **more: Any) -> Request:
    return Request(method="POST", path=path, body=body, **more)


def put(path: str, body: Any, **more: Any) -> Request:
    return Request(method="PUT", path=path, body=body, **more)


def delete(path: str, body: Any = None, **more: Any) -> Request:
    return Request(method="DELETE", path=path, body=body, **more)


def merge(path: str, body: Any, **more: Any) -> Request:
    return Request(method="PATCH", path=path, body=body, content_type=MERGE, **more)


def patch(path: str, body: Any, **more: Any) -> Request:
    return Request(method="PATCH", path=path, body=body, content_type=JSON_PATCH, **more)


def strategic(path: str, body: Any, **more: Any) -> Request:
    return Request(method="PATCH", path=path, body=body, content_type=STRATEGIC, **more)


def apply(path: str, body: Any, manager: str = "one", **more: Any) -> Request:
    glue = "&" if "?" in path else "?"
    return Request(method="PATCH", path=f"{path}{glue}fieldManager={manager}", body=body, content_type=APPLY, **more)
