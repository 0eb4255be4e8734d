"""The reviews of access and identity. Every authenticated user of the embedded cluster may do everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import objects

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.clusters.local.apiserver.users import UserInfo
    from pytest_mesh.contracts import Json

ACCESS = ("subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews")
KINDS = (*ACCESS, "selfsubjectrulesreviews", "selfsubjectreviews", "tokenreviews")
"""The resources that are answered and not stored."""


def answer(server: Server, info: ResourceInfo, body: Json, user: UserInfo) -> Json:
    """Give a review with its status."""
    if info.plural == "tokenreviews":
        return server.authenticator.review(body)
    metadata = {**(body.get("metadata") or {}), "creationTimestamp": objects.timestamp()}
    review: Json = {"kind": info.kind, "apiVersion": info.api_version, "metadata": metadata}
    if "spec" in body:
        review["spec"] = body["spec"]
    if info.plural in ACCESS:
        review["status"] = {
            "allowed": True,
            "reason": "the embedded cluster lets every authenticated user do everything",
        }
    elif info.plural == "selfsubjectreviews":
        review["status"] = {"userInfo": user.to_json()}
    else:
        everything = ["*"]
        review["status"] = {
            "resourceRules": [{"verbs": everything, "apiGroups": everything, "resources": everything}],
            "nonResourceRules": [{"verbs": everything, "nonResourceURLs": everything}],
            "incomplete": False,
        }
    return review
