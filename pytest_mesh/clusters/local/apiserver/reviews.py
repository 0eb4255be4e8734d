"""The reviews of access and identity: answered, never stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import errors, objects, ownership, preparing, rights
from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.ownership import Manager
from pytest_mesh.clusters.local.apiserver.rights import Wish
from pytest_mesh.clusters.local.apiserver.users import UserInfo

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.requests import Target, WriteOptions
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.contracts import Json

ACCESS = ("subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews")
KINDS = (*ACCESS, "selfsubjectrulesreviews", "selfsubjectreviews", "tokenreviews")
"""The resources that are answered and not stored."""


def answer(server: Server, target: Target, body: Json, options: WriteOptions) -> tuple[Json, list[str]]:
    """Give a review with its status, and warnings about unknown fields."""
    info, user = target.info, options.user
    if info.namespaced and not target.namespace:
        raise errors.method_not_allowed()
    preparing.check_identity(info, body, target.namespace, "")
    review, unknown = preparing.decode(info, body)
    warnings = preparing.unknown_fields(info, unknown, options.validation)
    if info.plural == "selfsubjectreviews":
        status = {"userInfo": user.to_json()}
        head = {
            "kind": info.kind,
            "apiVersion": info.api_version,
            "metadata": {"creationTimestamp": objects.timestamp()},
        }
        return {**head, "status": status}, warnings
    _own(info, review, options)
    if info.plural == "tokenreviews":
        found = server.authenticator.review(review)
        review["status"] = found["status"]
    elif info.plural in ACCESS:
        review["status"] = _access(server, info, review, user)
    else:
        namespace = (review.get("spec") or {}).get("namespace", "")
        if not namespace:
            raise errors.bad_request("no namespace on request")
        review["status"] = rights.rules_review(server.authorizer, user, namespace)
    return review, warnings


def _own(info: ResourceInfo, review: Json, options: WriteOptions) -> None:
    writer = Manager(name=options.manager, operation="Update", api_version=info.api_version)
    difference = ownership.compare(None, review, info.schema).without("f:status")
    if difference.written:
        owners = ownership.note_update({}, writer, difference, objects.timestamp())
        review["metadata"]["managedFields"] = ownership.write(owners)


def _access(server: Server, info: ResourceInfo, review: Json, user: UserInfo) -> Json:
    spec = review.get("spec") or {}
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        shown = {"Path": path.get("path", ""), "Verb": path.get("verb", "")}
        why = "cannot be specified in combination with resourceAttributes"
        raise _wrong("spec.nonResourceAttributes", objects.shown(shown), why)
    if resource is None and path is None:
        raise _wrong(
            "spec.resourceAttributes",
            "null",
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )
    metadata = {name: value for name, value in review["metadata"].items() if name not in ("managedFields", "namespace")}
    if metadata:
        raise _wrong("metadata", objects.shown(review["metadata"]), "must be empty")
    if info.plural != "selfsubjectaccessreviews":
        if not spec.get("user") and not spec.get("groups"):
            raise _wrong("spec.user", '""', "at least one of user or group must be specified")
        user = UserInfo(username=spec.get("user", ""), uid=spec.get("uid", ""), groups=tuple(spec.get("groups") or ()))
    if info.plural == "localsubjectaccessreviews" and (resource or {}).get("namespace", "") != review["metadata"].get(
        "namespace"
    ):
        raise _wrong(
            "spec.resourceAttributes.namespace",
            f'"{(resource or {}).get("namespace", "")}"',
            "must match metadata.namespace",
        )
    granted = server.authorizer.allows(user, _wish(resource, path or {}))
    if granted is None:
        return {"allowed": False}
    return {"allowed": True, "reason": granted} if granted else {"allowed": True}


def _wish(resource: Json | None, path: Json) -> Wish:
    if resource is None:
        return Wish(verb=path.get("verb", ""), path=path.get("path", ""))
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Wish(**{"verb": "", **{name: resource[name] for name in names if name in resource}})


def _wrong(field: str, shown: str, why: str) -> errors.StatusError:
    return errors.invalid(
        "", "authorization.k8s.io", "", [Cause(field=field, message=f"Invalid value: {shown}: {why}")]
    )
