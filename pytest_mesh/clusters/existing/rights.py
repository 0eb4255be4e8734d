"""The rights that a run needs on somebody's cluster: one table, from which roles are printed and rights are checked. Pure.

Cluster-wide a run makes and removes namespaces, and binds one role inside
them; everything else it may do only where that role is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_mesh.contracts import Implementation, Json

NAMESPACE_ROLE: Final = "pytest-mesh-namespace"
"""ClusterRole that a run binds, by a RoleBinding, in each namespace that it makes."""
PLUGGED_IN: Final = "cacerts"
"""The Secret by which Istio's API lets an operator bring an authority; it goes before the mesh's own."""

_MANAGE: Final = ("get", "list", "create", "patch", "delete")
_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One thing to be allowed, as an access review asks it."""

    verb: str
    group: str
    resource: str
    """With its subresource: ``pods/log``."""
    name: str = ""

    def __str__(self) -> str:
        group = f".{self.group}" if self.group else ""
        resource, _, below = self.resource.partition("/")
        return f"{self.verb} {resource}{group}{f'/{below}' if below else ''}{f' {self.name}' if self.name else ''}"

    def given_by(self, rule: Json) -> bool:
        """Whether a ``resourceRule`` of a SelfSubjectRulesReview gives it."""
        _, _, below = self.resource.partition("/")
        resources = {"*", self.resource, *([f"*/{below}", "*/*"] if below else [])}
        return bool(
            {"*", self.verb} & {*(rule.get("verbs") or ())}
            and {"*", self.group} & {*(rule.get("apiGroups") or ())}
            and resources & {*(rule.get("resources") or ())}
            and (not rule.get("resourceNames") or self.name in rule["resourceNames"])
        )

    def attributes(self, namespace: str) -> Json:
        """Give the ``resourceAttributes`` of a SelfSubjectAccessReview; empty ``namespace`` = in all, or cluster-wide."""
        resource, _, below = self.resource.partition("/")
        given = {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": below,
            "name": self.name,
            "namespace": namespace,
        }
        return {key: value for key, value in given.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a role."""

    groups: tuple[str, ...] = ("",)
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    needed: bool = True
    """False for what only a user's own documents want: printed, and not checked."""

    def document(self) -> Json:
        """Give the rule as RBAC writes it."""
        rule: Json = {"apiGroups": list(self.groups), "resources": list(self.resources), "verbs": list(self.verbs)}
        return {**rule, "resourceNames": list(self.names)} if self.names else rule

    def rights(self) -> list[Right]:
        """Give each single right of it."""
        return [
            Right(verb=verb, group=group, resource=resource, name=name)
            for group in self.groups
            for resource in self.resources
            for name in self.names or ("",)
            for verb in self.verbs
        ]


IN_CLUSTER: Final = (
    Rule(resources=("namespaces",), verbs=("get", "list", "create", "delete")),
    Rule(groups=(_RBAC,), resources=("rolebindings",), verbs=("create",)),
    Rule(groups=(_RBAC,), resources=("clusterroles",), verbs=("bind",), names=(NAMESPACE_ROLE,)),
)
"""Cluster-wide. The last two are how the account gets the rights below, in its own namespaces only."""

IN_NAMESPACE: Final = (
    Rule(resources=("pods",), verbs=("get", "list", "watch", "create", "patch", "delete")),
    Rule(resources=("pods/log",), verbs=("get",)),
    # Over a WebSocket these are GETs, and newer API servers want to see both.
    Rule(resources=("pods/exec", "pods/portforward"), verbs=("get", "create")),
    Rule(resources=("pods/proxy",), verbs=("create",)),
    Rule(resources=("services", "serviceaccounts", "configmaps", "secrets"), verbs=_MANAGE),
    Rule(resources=("serviceaccounts/token",), verbs=("create",)),
    Rule(resources=("events",), verbs=("list",)),
    Rule(groups=("apps",), resources=("deployments",), verbs=_MANAGE),
    Rule(
        groups=("networking.istio.io",),
        resources=("virtualservices", "destinationrules", "gateways", "serviceentries", "sidecars", "workloadentries"),
        verbs=_MANAGE,
    ),
    Rule(
        groups=("security.istio.io",),
        resources=("peerauthentications", "authorizationpolicies", "requestauthentications"),
        verbs=_MANAGE,
    ),
    Rule(groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "create", "patch")),
    Rule(groups=("apps",), resources=("replicasets", "statefulsets", "daemonsets"), verbs=_MANAGE, needed=False),
    Rule(groups=("batch",), resources=("jobs",), verbs=_MANAGE, needed=False),
    Rule(
        groups=("networking.istio.io",),
        resources=("envoyfilters", "proxyconfigs", "workloadgroups"),
        verbs=_MANAGE,
        needed=False,
    ),
    Rule(groups=("telemetry.istio.io",), resources=("telemetries",), verbs=_MANAGE, needed=False),
    Rule(groups=("extensions.istio.io",), resources=("wasmplugins",), verbs=_MANAGE, needed=False),
)
"""In the namespaces of a run."""

TO_INSTALL: Final = (
    Rule(resources=("namespaces", "configmaps", "secrets", "services", "serviceaccounts"), verbs=_MANAGE),
    Rule(resources=("pods",), verbs=("get", "list", "watch")),
    Rule(resources=("pods/log",), verbs=("get",)),
    Rule(resources=("pods/portforward",), verbs=("get", "create")),
    Rule(resources=("events",), verbs=("list",)),
    Rule(groups=("apps",), resources=("deployments",), verbs=_MANAGE),
    Rule(groups=("apiextensions.k8s.io",), resources=("customresourcedefinitions",), verbs=_MANAGE),
    Rule(
        groups=(_ADMISSION,),
        resources=("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
        verbs=_MANAGE,
    ),
    Rule(
        groups=(_ADMISSION,),
        resources=("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
        verbs=_MANAGE,
        needed=False,
    ),
    Rule(groups=(_RBAC,), resources=("clusterrolebindings", "rolebindings"), verbs=_MANAGE),
    # A control plane's own roles hold rights that this account has not: only these two verbs let it write them.
    Rule(groups=(_RBAC,), resources=("clusterroles", "roles"), verbs=(*_MANAGE, "bind", "escalate")),
    Rule(groups=("autoscaling",), resources=("horizontalpodautoscalers",), verbs=_MANAGE, needed=False),
    Rule(groups=("policy",), resources=("poddisruptionbudgets",), verbs=_MANAGE, needed=False),
)
"""Cluster-wide, and more, for ``--mesh-install``. It is a cluster administrator's power in all but name."""


AT_CONTROL_PLANE: Final = (
    Rule(groups=("apps",), resources=("deployments",), verbs=("get",)),
    Rule(resources=("services",), verbs=("get",)),
    Rule(resources=("pods",), verbs=("list",)),
    Rule(resources=("pods/portforward",), verbs=("get", "create")),
)
"""In the control plane's namespace: whether it is up, and its certificate service, which checks of CSRs ask."""


def control_plane_rules(implementation: Implementation) -> tuple[Rule, ...]:
    """Give what checks need in the control plane's namespace; nothing where that is not known."""
    return AT_CONTROL_PLANE if implementation.namespace else ()


def root_rules(implementation: Implementation) -> tuple[Rule, ...]:
    """Give what checks need that mint certificates by the mesh's own key, in the namespace of that Secret."""
    _, name, _ = implementation.root_secret
    return (Rule(resources=("secrets",), verbs=("get",), names=(PLUGGED_IN, name)),) if name else ()


def needed(rules: Iterable[Rule]) -> list[Right]:
    """Give every right of the rules that a run itself needs, each once."""
    return list(dict.fromkeys(right for rule in rules if rule.needed for right in rule.rights()))


def lines(missing: Sequence[Right], where: str) -> list[str]:
    """Say what is missing, one line each."""
    return [f"not allowed: {right} ({where})" for right in missing]
