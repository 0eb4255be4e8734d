"""The documents that give an account exactly the rights of ``rights``: what ``pytest-mesh rbac`` prints. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pytest_mesh.clusters.existing import rights
from pytest_mesh.clusters.existing.rights import NAMESPACE_ROLE, Rule
from pytest_mesh.contracts import Implementation, Json
from pytest_mesh.implementations.installed import LABEL as INSTALLATION_LABEL
from pytest_mesh.lifetime import OWNER_LABEL

DEFAULT_NAMESPACE: Final = "pytest-mesh"
DEFAULT_ACCOUNT: Final = "pytest-mesh"
_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ServiceAccount for runs."""

    namespace: str = DEFAULT_NAMESPACE
    name: str = DEFAULT_ACCOUNT

    @property
    def user(self) -> str:
        """Its name for the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def own(self, name: str) -> str:
        """Give the name of an object that is this account's alone, so that several accounts live side by side."""
        default = (self.namespace, self.name) == (DEFAULT_NAMESPACE, DEFAULT_ACCOUNT)
        return name if default else f"{name}.{self.namespace}.{self.name}"


def documents(
    account: Account,
    implementation: Implementation,
    *,
    install: bool = False,
    root_secret: bool = True,
    policy: bool = True,
    pull_secret: str = "",
) -> list[Json]:
    """Give the documents, in the order in which they can be applied.

    Args:
        account: whom they give rights.
        implementation: the mesh under test, for the namespace and the Secret of its root.
        install: with what ``--mesh-install`` needs.
        root_secret: with the right to read the mesh's signing key.
        policy: with the ValidatingAdmissionPolicy that holds the account to its own namespaces.
        pull_secret: ``NAMESPACE/NAME`` of a Secret that it may read to pull images.
    """
    found = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": account.namespace}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": account.name, "namespace": account.namespace},
        },
        _cluster_role(NAMESPACE_ROLE, rights.IN_NAMESPACE),
        _cluster_role("pytest-mesh", rights.IN_CLUSTER),
        _binding(account, "ClusterRole", "pytest-mesh"),
    ]
    if install:
        found += [
            _cluster_role("pytest-mesh-install", rights.TO_INSTALL),
            _binding(account, "ClusterRole", "pytest-mesh-install"),
        ]
    # What is to be installed has no namespace yet in which a role could be; the rights above contain these.
    control_plane = () if install else rights.control_plane_rules(implementation)
    if control_plane:
        found += _in_namespace(account, "pytest-mesh-control-plane", implementation.namespace, control_plane)
    root = () if install else rights.root_rules(implementation)
    if root_secret and root:
        found += _in_namespace(account, "pytest-mesh-root", implementation.root_secret[0], root)
    if pull_secret:
        namespace, _, name = pull_secret.partition("/")
        rules = (Rule(resources=("secrets",), verbs=("get",), names=(name,)),)
        found += _in_namespace(account, "pytest-mesh-pull", namespace, rules)
    return [*found, *(_policy(account, install=install) if policy else ())]


def _cluster_role(name: str, rules: Iterable[Rule]) -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [rule.document() for rule in rules],
    }


def _in_namespace(account: Account, name: str, namespace: str, rules: Iterable[Rule]) -> list[Json]:
    name = account.own(name)
    role = {**_cluster_role(name, rules), "kind": "Role", "metadata": {"name": name, "namespace": namespace}}
    return [role, _binding(account, "Role", name, namespace)]


def _binding(account: Account, kind: str, role: str, namespace: str = "") -> Json:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": f"{kind}Binding",
        "metadata": {
            "name": role if namespace else account.own(role),
            **({"namespace": namespace} if namespace else {}),
        },
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}],
    }


def _policy(account: Account, *, install: bool) -> list[Json]:
    """Hold the account to namespaces with the plugin's labels: RBAC itself knows no labels."""
    labels = [f"{OWNER_LABEL}=true", *([INSTALLATION_LABEL] if install else [])]

    def owned(what: str) -> str:
        expression = f"{what}.metadata.?labels[?'{OWNER_LABEL}'].orValue('') == 'true'"
        if install:
            expression += f" || {what}.metadata.?labels[?'{INSTALLATION_LABEL}'].orValue('') != ''"
        return expression

    wanted = f"namespaces labelled {' or '.join(labels)}"
    name = account.own("pytest-mesh")
    return [
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "DELETE"],
                            "resources": ["namespaces"],
                        },
                        {
                            "apiGroups": [_RBAC],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["rolebindings"],
                        },
                    ]
                },
                "matchConditions": [
                    {"name": "the-account", "expression": f"request.userInfo.username == '{account.user}'"}
                ],
                "validations": [
                    {
                        "expression": (
                            "request.resource.resource != 'namespaces' || "
                            f"(request.operation == 'DELETE' ? ({owned('oldObject')}) : ({owned('object')}))"
                        ),
                        "message": f"{account.user} makes and removes only {wanted}",
                    },
                    {
                        "expression": f"request.resource.resource != 'rolebindings' || {owned('namespaceObject')}",
                        "message": f"{account.user} binds its role only in {wanted}",
                    },
                ],
            },
        },
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]
