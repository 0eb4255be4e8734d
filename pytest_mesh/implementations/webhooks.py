"""Which admission webhooks take the Pods of a namespace, by the namespace's labels. Pure.

Of a webhook only its rules and its namespaceSelector are read: what it selects
by the Pod's own labels is seen when a Pod is created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_mesh.contracts import Json


def selecting(configurations: Sequence[Json], labels: Mapping[str, str]) -> list[Json]:
    """Give the webhooks that take a new Pod of a namespace with these labels."""
    return [webhook for webhook in _of_pods(configurations) if matches(webhook.get("namespaceSelector") or {}, labels)]


def selectors(configurations: Sequence[Json]) -> list[str]:
    """Give what each webhook for Pods wants of a namespace, as ``kubectl`` writes selectors; each text once."""
    return list(dict.fromkeys(written(one.get("namespaceSelector") or {}) for one in _of_pods(configurations)))


def injectors(configurations: Sequence[Json]) -> list[str]:
    """Name the webhooks for Pods that inject, as far as names and selectors tell: other webhooks are not in a mesh's way."""
    found = []
    for configuration in configurations:
        for webhook in _of_pods([configuration]):
            selector = written(webhook.get("namespaceSelector") or {})
            text = f"{configuration['metadata']['name']} {webhook['name']} {selector}"
            if "inject" in text or "istio.io/" in text:
                found.append(f"{configuration['metadata']['name']}/{webhook['name']}")
    return found


def matches(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector takes these labels; an empty one takes everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_fits(one, labels) for one in selector.get("matchExpressions") or ())


def reads(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector asks for one of these labels, whatever value it wants."""
    asked = {*(selector.get("matchLabels") or {}), *(one["key"] for one in selector.get("matchExpressions") or ())}
    return not asked.isdisjoint(labels)


def written(selector: Json) -> str:
    """Give a LabelSelector as text."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        values = f"({', '.join(one.get('values') or ())})"
        key, operator = one["key"], one["operator"]
        parts.append(
            {"In": f"{key} in {values}", "NotIn": f"{key} notin {values}", "Exists": key}.get(operator, f"!{key}")
        )
    return ", ".join(parts) or "every namespace"


def _fits(expression: Json, labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or ()
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    return bool((labels.get(key) in values) == (operator == "In"))


def _of_pods(configurations: Sequence[Json]) -> Iterator[Json]:
    for configuration in configurations:
        for webhook in configuration.get("webhooks") or ():
            rules = webhook.get("rules") or ()
            if any({"pods", "*", "*/*"} & set(rule.get("resources") or ()) for rule in rules):
                yield webhook
