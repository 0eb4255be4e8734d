"""Whether a pod is injected: stage B of the decision (row §2.1), shared by webhook and kube-inject.

Stage A, whether the API server asks at all, is the selectors' business in `manifests`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_reference.injection.annotations import INJECT
from mesh_reference.injection.settings import InjectionSettings

Json = Mapping[str, Any]

IGNORED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """``inject`` and the reason in words; ``warning`` is told to the user when it is not empty."""

    inject: bool
    reason: str
    warning: str = ""


def decide(pod: Json, namespace: str, settings: InjectionSettings) -> Decision:
    """The first rule that speaks decides: host network, namespace, the pod's own word, selectors, policy."""
    metadata: Json = pod.get("metadata") or {}
    labels: Mapping[str, str] = metadata.get("labels") or {}
    if (pod.get("spec") or {}).get("hostNetwork"):
        return Decision(inject=False, reason="the pod uses the host's network")
    if namespace in IGNORED_NAMESPACES:
        return Decision(inject=False, reason=f"namespace {namespace} is never injected")
    word = labels.get(INJECT, (metadata.get("annotations") or {}).get(INJECT, ""))
    warning = ""
    if word in {"true", "false"}:
        return Decision(inject=word == "true", reason=f"the pod says {INJECT}={word}")
    if word:
        warning = (
            f"Invalid value for {INJECT}: \"{word}\". Only 'true' and 'false' are accepted. "
            "Falling back to default injection policy."
        )
    if any(_matches(selector, labels) for selector in settings.never_inject):
        return Decision(inject=False, reason="a neverInjectSelector matches the pod", warning=warning)
    if any(_matches(selector, labels) for selector in settings.always_inject):
        return Decision(inject=True, reason="an alwaysInjectSelector matches the pod", warning=warning)
    return Decision(
        inject=settings.policy == "enabled", reason=f"the injection policy is {settings.policy}", warning=warning
    )


def _matches(selector: Json, labels: Mapping[str, str]) -> bool:
    """An empty selector matches nothing here, unlike elsewhere in Kubernetes."""
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    expressions: Sequence[Json] = selector.get("matchExpressions") or ()
    if not wanted and not expressions:
        return False
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _holds(expression, labels) for expression in expressions
    )


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"label selector operator {expression['operator']!r}: use In, NotIn, Exists or DoesNotExist")
