"""What a request asks: the resource its path names, its options, its decoded body.

It does not act: ``reading``, ``writing`` and ``subresources`` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from pytest_mesh.clusters.local.apiserver import errors, protobuf

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_mesh.clusters.local.apiserver.registry import Registry, ResourceInfo
    from pytest_mesh.clusters.local.apiserver.users import UserInfo
    from pytest_mesh.contracts import Json

PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path names. ``name`` is empty for a collection, ``subresource`` for the object itself."""

    info: ResourceInfo
    namespace: str
    name: str
    subresource: str


def parse_path(path: str, registry: Registry) -> Target:
    """Read ``/api/v1/...`` or ``/apis/GROUP/VERSION/...``; raises StatusError 404."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise errors.no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) >= 3 and not (not group and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    info = registry.find(group, version, rest[0])
    if info is None or len(rest) > 3 or (namespace and not info.namespaced):
        raise errors.no_such_path()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if subresource and subresource not in info.subresources:
        raise errors.no_such_path()
    if name and info.namespaced and not namespace:
        raise errors.no_such_path()
    return Target(info=info, namespace=namespace, name=name, subresource=subresource)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How a write is to be made; ``validation`` is ``Strict``, ``Warn`` or ``Ignore``."""

    user: UserInfo
    manager: str
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False


def write_options(query: Mapping[str, str], user_agent: str, user: UserInfo) -> WriteOptions:
    """Read the query of a write; raises StatusError 400 or 422 for values that Kubernetes refuses."""
    dry_run = query.get("dryRun", "")
    if dry_run not in ("", "All"):
        cause = errors.Cause(
            field="dryRun",
            message=f'Unsupported value: "{dry_run}": supported values: "All"',
            reason="FieldValueNotSupported",
        )
        raise errors.invalid("CreateOptions", "meta.k8s.io", "", [cause])
    validation = query.get("fieldValidation", "") or "Warn"
    if validation not in ("Strict", "Warn", "Ignore"):
        cause = errors.Cause(
            field="fieldValidation",
            message=f'Unsupported value: "{validation}": supported values: "Ignore", "Strict", "Warn"',
            reason="FieldValueNotSupported",
        )
        raise errors.invalid("CreateOptions", "meta.k8s.io", "", [cause])
    manager = query.get("fieldManager", "") or user_agent.partition("/")[0].partition(" ")[0]
    return WriteOptions(
        user=user,
        manager=manager[:128] or "unknown",
        dry_run=bool(dry_run),
        validation=validation,
        force=is_true(query.get("force", "")),
    )


def is_true(text: str) -> bool:
    """Read a boolean of a query as Go does, and as Python clients write it."""
    return text.lower() in ("true", "1", "t")


def number(query: Mapping[str, str], name: str) -> int | None:
    """Read a whole number of a query; raises StatusError 400."""
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise errors.bad_request(f"{name}: {text!r} is not a whole number") from error


def media_type(content_type: str) -> str:
    """Give a Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_object(body: bytes, content_type: str) -> Json:
    """Decode the object of a request; raises StatusError 400 or 415."""
    kind = media_type(content_type)
    obj: Any
    if kind == PROTOBUF or body.startswith(protobuf.MAGIC):
        try:
            return protobuf.decode(body)
        except ValueError as error:
            raise errors.bad_request(str(error)) from error
    if kind in ("application/yaml", "application/x-yaml"):
        obj = read_yaml(body)
    elif kind in ("", "application/json", "application/octet-stream", "text/plain"):
        obj = read_json(body)
    else:
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            f"application/json, application/yaml, {PROTOBUF}"
        )
    if not isinstance(obj, dict):
        raise errors.bad_request("couldn't get version/kind; the body of the request is no JSON object")
    return obj


def read_json(body: bytes) -> Any:
    """Decode JSON; raises StatusError 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(f"couldn't get version/kind; json parse error: {error}") from error


def read_yaml(body: bytes) -> Any:
    """Decode YAML, of which JSON is a part; raises StatusError 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        import yaml

        try:
            return yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders
        except yaml.YAMLError as error:
            raise errors.bad_request(f"error decoding YAML: {error}") from error


def read_patch(body: bytes, content_type: str) -> Any:
    """Decode a patch of a known type; raises StatusError 400 or 415."""
    kind = media_type(content_type)
    if kind == APPLY_PATCH:
        return read_yaml(body)
    if kind in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        return read_json(body)
    raise errors.unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: "
        f"{JSON_PATCH}, {MERGE_PATCH}, {STRATEGIC_PATCH}, {APPLY_PATCH}"
    )
