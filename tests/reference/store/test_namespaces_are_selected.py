"""``discoverySelectors``: a control plane knows the namespaces that it selects, and nothing of the others."""

from __future__ import annotations

from typing import Any

import pytest

from mesh_reference import mesh_config
from mesh_reference.discovery import discovers, read_selectors
from mesh_reference.errors import InvalidConfig
from mesh_reference.kube.resources import NAMESPACES, NODES, SERVICES
from mesh_reference.kube.watching import Event
from mesh_reference.settings import Settings
from mesh_reference.store.scope import Scope

OURS = read_selectors([{"matchLabels": {"side": "a"}}])


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(name: str) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "namespace": "shop"}}


def passed(scope: Scope, *events: tuple[Any, str, dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (event.kind, event.object["metadata"]["name"])
        for resource, kind, found in events
        for _, event in scope.take(resource, Event(kind, found))  # type: ignore[arg-type]
    ]


def test_an_object_of_an_unknown_namespace_is_held_back() -> None:
    scope = Scope(OURS)
    assert passed(scope, (NAMESPACES, "upsert", namespace("shop", side="b")), (SERVICES, "upsert", service("x"))) == []


def test_a_namespace_that_gets_the_label_brings_its_objects_in_and_takes_them_out_again() -> None:
    scope = Scope(OURS)
    assert passed(scope, (SERVICES, "upsert", service("x")), (SERVICES, "upsert", service("gone"))) == []
    assert passed(scope, (SERVICES, "delete", service("gone"))) == []
    assert passed(scope, (NAMESPACES, "upsert", namespace("shop", side="a"))) == [("upsert", "x")]
    assert passed(scope, (SERVICES, "upsert", service("y"))) == [("upsert", "y")]
    assert passed(scope, (NAMESPACES, "upsert", namespace("shop"))) == [("delete", "x"), ("delete", "y")]


def test_what_has_no_namespace_is_known_to_all() -> None:
    assert passed(Scope(OURS), (NODES, "upsert", {"metadata": {"name": "n"}})) == [("upsert", "n")]


def test_without_selectors_everything_is_known_and_nothing_more_is_watched() -> None:
    scope = Scope(())
    assert passed(scope, (SERVICES, "upsert", service("x"))) == [("upsert", "x")]
    assert scope.watched == ()


@pytest.mark.parametrize(
    ("expression", "known"),
    [
        ({"key": "side", "operator": "In", "values": ["a", "c"]}, True),
        ({"key": "side", "operator": "NotIn", "values": ["a"]}, False),
        ({"key": "team", "operator": "NotIn", "values": ["a"]}, True),
        ({"key": "side", "operator": "Exists"}, True),
        ({"key": "team", "operator": "Exists"}, False),
        ({"key": "team", "operator": "DoesNotExist"}, True),
    ],
)
def test_expressions_are_those_of_kubernetes(expression: dict[str, Any], known: bool) -> None:
    assert discovers(read_selectors([{"matchExpressions": [expression]}]), namespace("shop", side="a")) is known


def test_one_of_several_selectors_is_enough() -> None:
    selectors = read_selectors([{"matchLabels": {"side": "b"}}, {"matchLabels": {"side": "a"}}])
    assert discovers(selectors, namespace("shop", side="a"))


@pytest.mark.parametrize(
    "expression",
    [{"operator": "Exists"}, {"key": "a", "operator": "Near"}, {"key": "a", "operator": "In"}, {"key": "a"}],
)
def test_an_expression_that_cannot_be_meant_is_refused(expression: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig, match="discoverySelectors"):
        read_selectors([{"matchExpressions": [expression]}])


def test_the_mesh_config_sets_the_selectors() -> None:
    config = mesh_config.parse_mesh_config("discoverySelectors: [{matchLabels: {side: a}}]")
    assert mesh_config.settings_with(Settings(), config).discovery_selectors == OURS
