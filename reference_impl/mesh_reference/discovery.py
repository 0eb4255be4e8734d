"""Which namespaces a control plane knows: the mesh config's ``discoverySelectors``. Pure.

Several control planes share a cluster when each selects its own namespaces: objects of the others, and
the root certificate's ConfigMap in them, are none of its business. No selector = every namespace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mesh_reference.errors import InvalidConfig

OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One expression of a label selector."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it; a label that is not there is in no list."""
        found = labels.get(self.key)
        if self.operator == "In":
            return found in self.values
        if self.operator == "NotIn":
            return found not in self.values
        return (found is not None) == (self.operator == "Exists")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A label selector; one without expressions takes everything."""

    requirements: tuple[Requirement, ...] = ()

    def takes(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet every expression."""
        return all(one.holds(labels) for one in self.requirements)


def discovers(selectors: Sequence[Selector], namespace: Mapping[str, Any]) -> bool:
    """Whether a Namespace object is known under these selectors: one of them is enough."""
    labels = namespace["metadata"].get("labels") or {}
    return not selectors or any(one.takes(labels) for one in selectors)


def read_selectors(found: Sequence[Mapping[str, Any]]) -> tuple[Selector, ...]:
    """Read the mesh config's list; raises ``InvalidConfig`` for an expression that cannot be meant."""
    return tuple(_selector(index, one) for index, one in enumerate(found))


def _selector(index: int, found: Mapping[str, Any]) -> Selector:
    labels: Mapping[str, str] = found.get("matchLabels") or {}
    equal = [Requirement(key=key, operator="In", values=frozenset([value])) for key, value in sorted(labels.items())]
    listed = found.get("matchExpressions") or ()
    return Selector(requirements=(*equal, *(_requirement(index, one) for one in listed)))


def _requirement(index: int, found: Mapping[str, Any]) -> Requirement:
    where = f"discoverySelectors[{index}].matchExpressions"
    key, operator, values = found.get("key"), found.get("operator"), found.get("values") or ()
    if not key:
        raise InvalidConfig(where, "an expression needs a key")
    if operator not in OPERATORS:
        raise InvalidConfig(where, f"operator {operator!r}: use {', '.join(OPERATORS)}")
    if (operator in {"In", "NotIn"}) != bool(values):
        raise InvalidConfig(where, f"{key} {operator}: In and NotIn need values, the others take none")
    return Requirement(key=str(key), operator=str(operator), values=frozenset(values))
