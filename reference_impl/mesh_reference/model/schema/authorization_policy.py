"""AuthorizationPolicy, field by field, as istio.io/api security defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.policy_target import ONE_TARGET, TARGET_REF, TARGET_REFS
from mesh_reference.model.schema.selectors import WORKLOAD_SELECTOR
from mesh_reference.model.schema.types import TEXT, TEXTS, Choice, Column, Kind, ListOf, Message, Rule, Text

_ACCOUNTS = ListOf(item=Text(at_most=320), at_most=16)
_ACCOUNT_CONFLICT = (
    "!((has(self.serviceAccounts) && self.serviceAccounts.size() > 0) || "
    "(has(self.notServiceAccounts) && self.notServiceAccounts.size() > 0)) || "
    "!((has(self.principals) && self.principals.size() > 0) || "
    "(has(self.notPrincipals) && self.notPrincipals.size() > 0) || "
    "(has(self.namespaces) && self.namespaces.size() > 0) || "
    "(has(self.notNamespaces) && self.notNamespaces.size() > 0))"
)
SOURCE = Message(
    name="Source",
    fields={
        "principals": TEXTS,
        "notPrincipals": TEXTS,
        "requestPrincipals": TEXTS,
        "notRequestPrincipals": TEXTS,
        "namespaces": TEXTS,
        "notNamespaces": TEXTS,
        "serviceAccounts": _ACCOUNTS,
        "notServiceAccounts": _ACCOUNTS,
        "trustDomains": TEXTS,
        "notTrustDomains": TEXTS,
        "ipBlocks": TEXTS,
        "notIpBlocks": TEXTS,
        "remoteIpBlocks": TEXTS,
        "notRemoteIpBlocks": TEXTS,
    },
    rules=(
        Rule(
            expression=_ACCOUNT_CONFLICT,
            message="cannot set serviceAccounts with namespaces or principals",
            rule="V63f",
        ),
    ),
)
OPERATION = Message(
    name="Operation",
    fields={
        "hosts": TEXTS,
        "notHosts": TEXTS,
        "ports": TEXTS,
        "notPorts": TEXTS,
        "methods": TEXTS,
        "notMethods": TEXTS,
        "paths": TEXTS,
        "notPaths": TEXTS,
    },
)
RULE = Message(
    name="Rule",
    fields={
        "from": ListOf(item=Message(name="From", fields={"source": SOURCE}), at_most=512),
        "to": ListOf(item=Message(name="To", fields={"operation": OPERATION})),
        "when": ListOf(
            item=Message(
                name="Condition",
                fields={"key": TEXT, "values": TEXTS, "notValues": TEXTS},
                rules=(
                    Rule(
                        expression="has(self.key) && self.key != ''",
                        message="`key` must not be empty",
                        rule="V63t",
                        at=".key",
                    ),
                ),
            )
        ),
    },
)

AUTHORIZATION_POLICY = Kind(
    group="security.istio.io",
    kind="AuthorizationPolicy",
    plural="authorizationpolicies",
    short_name="ap",
    versions=("v1", "v1beta1"),
    description="Configuration for access control on workloads.",
    spec=Message(
        name="AuthorizationPolicy",
        fields={
            "selector": WORKLOAD_SELECTOR,
            "targetRef": TARGET_REF,
            "targetRefs": TARGET_REFS,
            "rules": ListOf(item=RULE, at_most=512),
            "action": Choice(names=("ALLOW", "DENY", "AUDIT", "CUSTOM")),
            "provider": Message(name="ExtensionProvider", fields={"name": TEXT}),
        },
        descriptions={
            "selector": "The workloads this applies to; default all of the namespace, or of the mesh in the root namespace.",
            "rules": "The requests that the action is taken for; none = no request.",
            "action": "What is done with a request that a rule matches; default ALLOW.",
            "provider": "The external authorizer of the action CUSTOM.",
        },
        rules=(
            ONE_TARGET,
            Rule(
                expression="!has(self.provider) || (has(self.action) && self.action == 'CUSTOM')",
                message="`provider` must not be with non CUSTOM action",
                rule="V63d",
                says="'`provider` must not be with non CUSTOM action, found ' + (has(self.action) ? self.action : 'ALLOW')",
                at=".provider",
            ),
            Rule(
                expression=(
                    "!has(self.action) || !(self.action in ['DENY', 'CUSTOM']) || "
                    "(has(self.rules) && self.rules.size() > 0)"
                ),
                message="action without `rules` is meaningless as it will never be triggered",
                rule="V63a",
                says=(
                    "self.action + ' action without `rules` is meaningless as it will never be triggered, add an empty rule "
                    "`{}` if you want it be triggered for every request'"
                ),
                at=".rules",
            ),
        ),
    ),
    columns=(Column(name="Action", path=".spec.action", description="The operation to take."),),
)
