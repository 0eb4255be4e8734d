"""What a request asks: the resource its path names, its options, its decoded body.

It does not act: ``reading``, ``writing`` and ``subresources`` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from pytest_mesh.clusters.local.apiserver import errors, jsontext, protobuf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multidict import MultiMapping

    from pytest_mesh.clusters.local.apiserver.registry import Registry, ResourceInfo
    from pytest_mesh.clusters.local.apiserver.users import UserInfo
    from pytest_mesh.contracts import Json

PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


MAX_MANAGER = 128
"""Letters of a field manager's name."""


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
    if info is None and group and not any(one.version == version and one.group == group for one in registry.all()):
        raise errors.no_page()
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


_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}


def write_options(
    method: str, content_type: str, query: MultiMapping[str], user_agent: str, user: UserInfo
) -> WriteOptions:
    """Read the query of a write; raises StatusError 422 for values that Kubernetes refuses."""
    dry_run, manager = query.getall("dryRun", []), query.get("fieldManager", "")
    validation = query.get("fieldValidation", "") or "Warn"
    causes = []
    if method == "PATCH":
        if media_type(content_type) != APPLY_PATCH:
            if is_true(query.get("force", "")):
                why = "Forbidden: may not be specified for non-apply patch"
                causes.append(errors.Cause(field="force", message=why, reason="FieldValueForbidden"))
        elif not manager:
            why = "Required value: is required for apply patch"
            causes.append(errors.Cause(field="fieldManager", message=why, reason="FieldValueRequired"))
    if len(manager) > MAX_MANAGER:
        why = f"Too long: may not be more than {MAX_MANAGER} bytes"
        causes.append(errors.Cause(field="fieldManager", message=why, reason="FieldValueTooLong"))
    causes += dry_run_faults(dry_run)
    if validation not in ("Strict", "Warn", "Ignore") and method != "DELETE":
        why = f'Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"'
        causes.append(errors.Cause(field="fieldValidation", message=why, reason="FieldValueNotSupported"))
    if causes:
        raise errors.invalid(_OPTIONS[method], "meta.k8s.io", "", causes)
    manager = manager or user_agent.partition("/")[0].partition(" ")[0]
    return WriteOptions(
        user=user,
        manager=manager[:128] or "unknown",
        dry_run=bool(dry_run),
        validation=validation,
        force=is_true(query.get("force", "")),
    )


def dry_run_faults(values: Sequence[str]) -> list[errors.Cause]:
    """Give the fault of a ``dryRun`` that is not ``All``."""
    if all(value == "All" for value in values):
        return []
    shown = orjson.dumps(list(values)).decode()
    why = f'Unsupported value: {shown}: supported values: "All"'
    return [errors.Cause(field="dryRun", message=why, reason="FieldValueNotSupported")]


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
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def media_type(content_type: str) -> str:
    """Give a Content-Type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_object(body: bytes, content_type: str, wanted: str = "", *, twice: list[str] | None = None) -> Json:
    """Decode the object of a request, a ``wanted`` kind; raises StatusError 400 or 415.

    ``twice`` takes the paths of the fields that stand there twice, if somebody wants to know.
    """
    kind = media_type(content_type)
    obj: Any
    try:
        if kind == PROTOBUF:
            return protobuf.decode(body)
        if kind in ("application/yaml", "application/x-yaml"):
            obj = jsontext.read_yaml(body)
        elif kind in ("", "application/json"):
            obj = jsontext.read(body)
            if twice is not None:
                twice += jsontext.duplicates(body)
        else:
            obj = None
    except ValueError as error:
        raise _unrecognized(wanted, str(error), body) from error
    if kind not in ("", "application/json", "application/yaml", "application/x-yaml"):
        raise errors.unsupported_media_type(
            "the body of the request was in an unknown format - accepted media types include: "
            f"application/json, application/yaml, {PROTOBUF}"
        )
    if obj is None:
        return {}
    if not isinstance(obj, dict):
        why = f"couldn't get version/kind; json parse error: json: cannot unmarshal {jsontext.kind_of(obj)} into Go value of type "
        why += 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        raise _unrecognized(wanted, why, body)
    return obj


def _unrecognized(wanted: str, why: str, body: bytes) -> errors.StatusError:
    what = f"the object provided is unrecognized (must be of type {wanted}): " if wanted else ""
    return errors.bad_request(f"{what}{why} ({jsontext.excerpt(body)})" if wanted else why)


def read_patch(body: bytes, content_type: str) -> Any:
    """Decode a patch of a known type; raises StatusError 400 or 415."""
    kind = media_type(content_type)
    if kind == APPLY_PATCH:
        try:
            return jsontext.read_yaml(body)
        except ValueError as error:
            raise errors.bad_request(f"error decoding YAML: error converting YAML to JSON: {error}") from error
    if kind in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        try:
            return jsontext.read(body, plain=True)
        except ValueError as error:
            raise errors.bad_request(f"error decoding patch: {error}") from error
    raise errors.StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={})
