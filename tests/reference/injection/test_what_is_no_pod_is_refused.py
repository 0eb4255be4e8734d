"""Bad input to the injector: the field that is not as a Pod's is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mesh_reference.injection.injector import inject
from mesh_reference.injection.pod_shape import InjectionError
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("pod", "problem"),
    [
        ({}, "spec is missing"),
        ({"spec": []}, "spec: want a map"),
        ({"spec": {"containers": {}}}, "spec.containers: want a list"),
        ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers[0].name is missing"),
        ({"spec": {"containers": ["x"]}}, "spec.containers[0]: want a map"),
        ({"metadata": [], "spec": {}}, "metadata: want a map"),
        ({"metadata": {"labels": {"a": 1}}, "spec": {}}, "metadata.labels.a: want text, have 1: write it in quotes"),
        ({"metadata": {"annotations": {"a": True}}, "spec": {}}, "metadata.annotations.a: want text, have True"),
        ({"spec": {"containers": [{"name": "a", "ports": 80}]}}, "spec.containers[0].ports: want a list"),
        (
            {"spec": {"containers": [{"name": "a", "ports": [{}]}]}},
            "spec.containers[0].ports[0].containerPort is missing",
        ),
        ({"spec": {"volumes": [{}]}}, "spec.volumes[0].name is missing"),
        (
            {"spec": {"initContainers": [{"name": "a", "livenessProbe": "x"}]}},
            "initContainers[0].livenessProbe: want a map",
        ),
        ({"spec": {"containers": [{"name": "a", "livenessProbe": {"tcpSocket": {}}}]}}, "tcpSocket.port is missing"),
    ],
)
def test_a_pod_that_is_none_is_refused_with_the_place(pod: Json, problem: str) -> None:
    with pytest.raises(InjectionError, match=re.escape(problem)):
        inject(pod, "shop", InjectionSettings())
