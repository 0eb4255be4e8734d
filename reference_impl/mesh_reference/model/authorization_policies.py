"""AuthorizationPolicy as typed values, and which of them decide about a workload.

Every field of a rule is one attribute with its values, whether it stands in
``from``, ``to`` or ``when``. It deliberately does not match anything: the proxy does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mesh_reference.model.metadata import Metadata, read_metadata
from mesh_reference.model.reading import open_spec
from mesh_reference.model.schema.authorization_policy import AUTHORIZATION_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mesh_reference.model.reading import Fields

SOURCE = {
    "principals": "source.principal",
    "requestPrincipals": "request.auth.principal",
    "namespaces": "source.namespace",
    "serviceAccounts": "source.serviceAccount",
    "trustDomains": "source.trustDomain",
    "ipBlocks": "source.ip",
    "remoteIpBlocks": "remote.ip",
}
OPERATION = {
    "hosts": "request.host",
    "ports": "destination.port",
    "methods": "request.method",
    "paths": "request.path",
}
UNKNOWN = ("request.auth.", "experimental.envoy.filters.")
"""Attributes that nothing here provides: no JWT is read."""


class Action(StrEnum):
    """What is done with a request that a rule matches. CUSTOM asks somebody whom this mesh does not know."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    CUSTOM = "CUSTOM"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """An attribute that must have one of ``values`` and none of ``not_values``; empty = no matter."""

    attribute: str
    values: tuple[str, ...] = ()
    not_values: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Can a proxy of this mesh judge it at all?"""
        return not self.attribute.startswith(UNKNOWN)


Conditions = tuple[Condition, ...]
"""All of them must hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRule:
    """One of the sources, one of the operations (none given = any), and everything in ``when``."""

    sources: tuple[Conditions, ...] = ()
    operations: tuple[Conditions, ...] = ()
    when: Conditions = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationPolicy:
    """One policy. Without ``selector`` it covers its namespace, or the mesh when that is the root namespace."""

    meta: Metadata
    action: Action
    selector: tuple[tuple[str, str], ...]
    rules: tuple[AuthorizationRule, ...]
    has_targets: bool = False
    """Does it name what it is for? Then that is no sidecar."""
    warnings: tuple[str, ...] = ()

    def applies(self, namespace: str, labels: Mapping[str, str], root_namespace: str) -> bool:
        """Does it decide about such a workload? In the root namespace a selector reaches into all the others."""
        if self.has_targets or self.meta.namespace not in {namespace, root_namespace}:
            return False
        return all(labels.get(key) == value for key, value in self.selector)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The policies of one workload, by what they do: whatever ``deny`` matches is refused, then ``allow`` must match."""

    deny: tuple[AuthorizationPolicy, ...] = ()
    allow: tuple[AuthorizationPolicy, ...] = ()
    """None = everything is allowed."""
    refuse_all: bool = False
    """Is somebody to be asked who cannot be asked?"""


def compose(
    policies: Iterable[AuthorizationPolicy], namespace: str, labels: Mapping[str, str], root_namespace: str
) -> Authorization:
    """Gather what decides about a workload."""
    found = [
        policy
        for policy in sorted(policies, key=lambda item: (item.meta.namespace, item.meta.name))
        if policy.applies(namespace, labels, root_namespace)
    ]
    return Authorization(
        deny=tuple(policy for policy in found if policy.action is Action.DENY),
        allow=tuple(policy for policy in found if policy.action is Action.ALLOW),
        refuse_all=any(policy.action is Action.CUSTOM and policy.rules for policy in found),
    )


def read_authorization_policy(obj: Mapping[str, Any]) -> AuthorizationPolicy:
    """Read the resource. Raises InvalidConfig when it cannot be applied."""
    spec, origin = open_spec(obj, AUTHORIZATION_POLICY)
    action = spec.get("action") or "ALLOW"
    if action == "AUDIT":
        raise spec.invalid("AUDIT is not supported: nothing would be audited", "action")
    if action == "CUSTOM":
        spec.unsupported("action", "there is no external authorizer, so every request to these workloads is refused")
    for key in ("targetRef", "targetRefs"):
        spec.unsupported(key, "it covers no sidecar, and nothing else here takes policies")
    rules = tuple(_rule(item) for item in spec.each("rules"))
    consequence = "is never met" if action == "ALLOW" else "counts as met"
    origin.warnings.extend(
        f"{origin.name}: spec.rules[{index}]: {condition.attribute} is not supported: it {consequence}"
        for index, rule in enumerate(rules)
        for condition in _unknown(rule)
    )
    return AuthorizationPolicy(
        meta=read_metadata(obj),
        action=Action(action),
        selector=spec.fields("selector").pairs("matchLabels"),
        rules=rules,
        has_targets=bool(spec.get("targetRef") or spec.get("targetRefs")),
        warnings=tuple(origin.warnings),
    )


def _rule(item: Fields) -> AuthorizationRule:
    return AuthorizationRule(
        sources=tuple(_conditions(one.fields("source"), SOURCE) for one in item.each("from")),
        operations=tuple(_conditions(one.fields("operation"), OPERATION) for one in item.each("to")),
        when=tuple(
            Condition(attribute=one["key"], values=one.texts("values"), not_values=one.texts("notValues"))
            for one in item.each("when")
        ),
    )


def _conditions(fields: Fields, attributes: Mapping[str, str]) -> Conditions:
    found = []
    for name, attribute in attributes.items():
        values, not_values = fields.texts(name), fields.texts(f"not{name[0].upper()}{name[1:]}")
        if values or not_values:
            found.append(Condition(attribute=attribute, values=values, not_values=not_values))
    return tuple(found)


def _unknown(rule: AuthorizationRule) -> list[Condition]:
    every = [*rule.when, *(one for group in (*rule.sources, *rule.operations) for one in group)]
    return [condition for condition in every if not condition.is_known]
