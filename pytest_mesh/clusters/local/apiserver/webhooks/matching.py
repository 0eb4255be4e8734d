"""Which webhooks a request concerns. Pure: configuration and request in, decision out.

CEL conditions are in ``conditions``; nothing is called here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.clusters.local.apiserver.users import UserInfo
    from pytest_mesh.contracts import Json

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

EXEMPT_GROUP = "admissionregistration.k8s.io"
"""Webhooks never see webhook configurations: a broken one must be removable."""

EXEMPT_KINDS = frozenset(
    {
        "MutatingWebhookConfiguration",
        "ValidatingWebhookConfiguration",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """A request under admission. ``obj`` is None for DELETE, ``old`` for CREATE."""

    operation: Operation
    resource: ResourceInfo
    obj: Json | None
    old: Json | None
    namespace: str
    name: str
    user: UserInfo
    dry_run: bool = False
    subresource: str = ""
    options: Json = field(default_factory=dict)

    @property
    def is_namespace(self) -> bool:
        return self.resource.key == "namespaces"

    @property
    def review_namespace(self) -> str:
        """The namespace that a review names: a Namespace is said to be in itself."""
        return self.name if self.is_namespace else self.namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook of one configuration; ``spec`` is its object as stored."""

    configuration: str
    mutating: bool
    index: int
    spec: Json

    @property
    def uid(self) -> str:
        return f"{self.configuration}/{self.index}"

    @property
    def name(self) -> str:
        name: str = self.spec["name"]
        return name

    @property
    def ignores_failures(self) -> bool:
        return bool(self.spec.get("failurePolicy", "Fail") == "Ignore")

    @property
    def timeout(self) -> int:
        """Seconds."""
        return int(self.spec.get("timeoutSeconds") or 10)

    @property
    def reinvocable(self) -> bool:
        return bool(self.spec.get("reinvocationPolicy", "Never") == "IfNeeded")


def webhooks_of(configurations: Iterable[Json], *, mutating: bool) -> Iterator[Webhook]:
    """Give every webhook in the order of its call: configurations by name, webhooks as written."""
    for configuration in sorted(configurations, key=lambda one: one["metadata"]["name"]):
        for index, spec in enumerate(configuration.get("webhooks") or ()):
            yield Webhook(configuration=configuration["metadata"]["name"], mutating=mutating, index=index, spec=spec)


def is_exempt(resource: ResourceInfo) -> bool:
    """Say whether no webhook ever sees this resource."""
    return resource.group == EXEMPT_GROUP and resource.kind in EXEMPT_KINDS


def matching_resource(
    webhook: Webhook, attributes: Attributes, versions: Sequence[ResourceInfo]
) -> ResourceInfo | None:
    """Give the form of the resource in which the webhook wants the request, or None if no rule matches.

    ``versions`` are all served versions: with ``matchPolicy: Equivalent`` (the default) a rule for another
    version matches too, and the webhook gets the object in that version.
    """
    rules = webhook.spec.get("rules") or ()
    if any(rule_matches(rule, attributes, attributes.resource) for rule in rules):
        return attributes.resource
    if webhook.spec.get("matchPolicy", "Equivalent") != "Equivalent":
        return None
    for rule in rules:
        for other in versions:
            if other != attributes.resource and rule_matches(rule, attributes, other):
                return other
    return None


def rule_matches(rule: Json, attributes: Attributes, resource: ResourceInfo) -> bool:
    """Say whether a RuleWithOperations matches a request, seen as one of ``resource``."""
    if not _listed(rule.get("operations"), attributes.operation):
        return False
    if not _listed(rule.get("apiGroups"), resource.group) or not _listed(rule.get("apiVersions"), resource.version):
        return False
    scope = rule.get("scope", "*")
    # A Namespace counts as cluster-scoped although reviews name it as its own namespace.
    if scope != "*" and (scope == "Namespaced") != bool(attributes.namespace and not attributes.is_namespace):
        return False
    return any(_resource_matches(one, resource.plural, attributes.subresource) for one in rule.get("resources") or ())


def _listed(items: Sequence[str] | None, wanted: str) -> bool:
    return any(item in {"*", wanted} for item in items or ())


def _resource_matches(pattern: str, plural: str, subresource: str) -> bool:
    resource, _, sub = pattern.partition("/")
    return resource in {"*", plural} and sub in {"*", subresource}


def objects_selected(webhook: Webhook, attributes: Attributes) -> bool:
    """Say whether the objectSelector takes the object or its old form."""
    selector = webhook.spec.get("objectSelector") or {}
    if not _requirements(selector):
        return True
    return any(selects(selector, _labels(obj)) for obj in (attributes.obj, attributes.old) if obj is not None)


def namespace_selector(webhook: Webhook, attributes: Attributes) -> Json | None:
    """Give the selector that the request's namespace must pass; None if there is nothing to ask."""
    if not attributes.namespace and not attributes.is_namespace:
        return None
    selector: Json = webhook.spec.get("namespaceSelector") or {}
    return selector if _requirements(selector) else None


def namespace_labels(attributes: Attributes, stored: Json | None) -> Mapping[str, str] | None:
    """Give the labels that namespaceSelectors see; ``stored`` is the Namespace in the store. None = no such namespace.

    A Namespace being written is judged by the labels that it is to have.
    """
    if attributes.is_namespace and not attributes.subresource and attributes.operation in {"CREATE", "UPDATE"}:
        return _labels(attributes.obj or {})
    return None if stored is None else _labels(stored)


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Say whether a LabelSelector takes these labels; raises ValueError for an unknown operator."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_expression_holds(one, labels) for one in selector.get("matchExpressions") or ())


def _expression_holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ValueError(f'"{operator}" is not a valid label selector operator')


def _requirements(selector: Json) -> bool:
    return bool(selector.get("matchLabels") or selector.get("matchExpressions"))


def _labels(obj: Json) -> Mapping[str, str]:
    labels: Mapping[str, str] = (obj.get("metadata") or {}).get("labels") or {}
    return labels
