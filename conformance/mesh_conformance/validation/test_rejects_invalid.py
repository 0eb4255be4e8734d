"""A VirtualService that cannot be right is refused when it is applied, and the refusal names the field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_mesh import documents
from pytest_mesh.namespace import MeshNamespace

Spec = dict[str, Any]


def duplicate_host(spec: Spec) -> None:
    spec["hosts"] = ["ratings", "reviews", "reviews"]


def total_weight_zero(spec: Spec) -> None:
    for one in spec["http"][0]["route"]:
        one["weight"] = 0


def no_action(spec: Spec) -> None:
    del spec["http"][0]["route"]


def bad_subset_name(spec: Spec) -> None:
    spec["http"][0]["route"][1]["destination"]["subset"] = "no_dns_label"


def bad_redirect_code(spec: Spec) -> None:
    spec["http"][0] = {"redirect": {"uri": "/", "redirectCode": 200}}


def bad_regex(spec: Spec) -> None:
    spec["http"][0]["match"] = [{"uri": {"regex": "("}}]


@pytest.mark.mesh_feature("RejectsInvalid")
@pytest.mark.parametrize(
    ("breaks", "field"),
    [
        (duplicate_host, "hosts"),
        (total_weight_zero, "http[0].route"),
        (no_action, "http[0]"),
        (bad_subset_name, "http[0].route[1].destination.subset"),
        (bad_redirect_code, "http[0].redirect.redirectCode"),
        (bad_regex, "http[0].match[0].uri"),
    ],
)
def test_an_invalid_virtual_service_is_refused_with_the_field(
    mesh_namespace: MeshNamespace, breaks: Callable[[Spec], None], field: str
) -> None:
    (valid,) = documents.read(Path(__file__).with_suffix(".yaml"))
    mesh_namespace.apply(valid)
    invalid = copy.deepcopy(valid)
    breaks(invalid["spec"])

    mesh_namespace.assert_refused(invalid, f"spec.{field}")
