"""Asks the API server what this account may do (SelfSubjectAccessReview) and who it is. It decides nothing by itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from pytest_mesh.clusters.existing import rights
from pytest_mesh.clusters.existing.rights import Right
from pytest_mesh.contracts import Implementation, Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube, KubeError

_BINDING_SECONDS: Final = 20.0
_ANY: Final = "default"
_CREATE_PODS: Final = Right(verb="create", group="", resource="pods")
HINT: Final = "`pytest-mesh rbac` prints the rights that a run needs, and how to give them"


def who(kube: Kube) -> str:
    """Give the name of the account; empty where the API server does not tell (before Kubernetes 1.28)."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {}}
    try:
        answer = kube.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
    except KubeError as error:
        if error.status == 401:
            raise Infrastructure(f"the API server does not know this account: {error.message}") from error
        return ""
    return str(answer.get("status", {}).get("userInfo", {}).get("username", ""))


def may(kube: Kube, right: Right, namespace: str = "") -> bool:
    """Ask whether this account has a right, in a namespace or (empty) cluster-wide. Raises ``Infrastructure``."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": right.attributes(namespace)},
    }
    try:
        answer = kube.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    except KubeError as error:
        raise Infrastructure(f"the API server does not say what this account may do: {error}") from error
    return bool(answer.get("status", {}).get("allowed"))


def missing(kube: Kube, wanted: Iterable[Right], namespace: str = "") -> list[Right]:
    """Give the rights that this account has not, in a namespace or (empty) cluster-wide."""
    # The rules of a namespace spare a question for each right; what they do not show is asked all the same.
    shown = _rules(kube, namespace) if namespace else []
    return [one for one in wanted if not any(one.given_by(rule) for rule in shown) and not may(kube, one, namespace)]


def _rules(kube: Kube, namespace: str) -> list[Json]:
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    try:
        answer = kube.create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)
    except KubeError:
        return []
    return list(answer.get("status", {}).get("resourceRules") or ())


def everywhere(kube: Kube) -> bool:
    """Whether this account may work in any namespace as it is, so that nothing needs binding."""
    return may(kube, _CREATE_PODS)


def absent(kube: Kube, *, install: bool) -> list[str]:
    """Say, one line each, what a run would not be allowed: cluster-wide, and in namespaces where that can be told."""
    cluster, namespaced = rights.IN_CLUSTER[:1], rights.IN_NAMESPACE
    lines = rights.lines(missing(kube, rights.needed(cluster)), "cluster-wide")
    if everywhere(kube):
        # Whoever may create pods everywhere has his rights from no namespace in particular: any one shows them.
        lines += rights.lines(missing(kube, rights.needed(namespaced), _ANY), "in all namespaces")
    else:  # an account that binds its role; what is in that role shows in the first namespace
        lines += rights.lines(missing(kube, rights.needed(rights.IN_CLUSTER[1:])), "cluster-wide")
    if install:
        lines += rights.lines(missing(kube, rights.needed(rights.TO_INSTALL)), "cluster-wide, for --mesh-install")
    return list(dict.fromkeys(lines))


def require(kube: Kube, *, install: bool) -> None:
    """Raise ``Infrastructure`` with a line for each right that is missing."""
    if lines := absent(kube, install=install):
        raise Infrastructure("\n".join([*lines, HINT]))


def root_missing(kube: Kube, implementation: Implementation) -> list[Right]:
    """Give what is missing to mint certificates by the mesh's own key; checks that do so can be left out."""
    place = implementation.root_secret[0]
    return missing(kube, rights.needed(rights.root_rules(implementation)), place)


def control_plane_missing(kube: Kube, implementation: Implementation) -> list[Right]:
    """Give what is missing in the control plane's namespace; only checks of CSRs want it."""
    return missing(kube, rights.needed(rights.control_plane_rules(implementation)), implementation.namespace)


def optional(kube: Kube, implementation: Implementation) -> list[str]:
    """Say, one line each, what is missing that only some checks need, and what becomes of them."""
    lines = [
        f"{line}: checks of the certificate service cannot run"
        for line in rights.lines(control_plane_missing(kube, implementation), f"in {implementation.namespace}")
    ]
    return lines + [
        f"{line}: what needs root_secret is not applicable"
        for line in rights.lines(root_missing(kube, implementation), f"in {implementation.root_secret[0]}")
    ]


def bind(kube: Kube, namespace: str, account: str) -> None:
    """Give this account its role in a namespace of its own; returns when the API server obeys it."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings"
    kube.create(path, binding(account))
    deadline = time.monotonic() + _BINDING_SECONDS
    while not may(kube, _CREATE_PODS, namespace):
        if time.monotonic() > deadline:
            raise Infrastructure(
                f"namespace {namespace}: ClusterRole {rights.NAMESPACE_ROLE} is bound and {account or 'this account'} "
                f"may still not create pods after {_BINDING_SECONDS:g} s; {HINT}"
            )
        time.sleep(0.05)


def binding(account: str) -> Json:
    """Give the RoleBinding of an account in a namespace."""
    parts = account.split(":")
    if account.startswith("system:serviceaccount:") and len(parts) == 4:
        subject = {"kind": "ServiceAccount", "namespace": parts[2], "name": parts[3]}
    else:
        subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": account}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "pytest-mesh"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": rights.NAMESPACE_ROLE,
        },
        "subjects": [subject],
    }


def in_namespace(kube: Kube, namespace: str) -> None:
    """Raise ``Infrastructure`` with a line for each right that is missing in a namespace of the run's own."""
    found = missing(kube, rights.needed(rights.IN_NAMESPACE), namespace)
    if found:
        lines = rights.lines(found, f"in its own namespace {namespace}")
        raise Infrastructure("\n".join([*lines, f"ClusterRole {rights.NAMESPACE_ROLE} is short of these: {HINT}"]))
