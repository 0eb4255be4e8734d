"""A VirtualService that cannot be right is refused when it is applied, and the refusal names what is wrong.

Meshes word it differently (Istio gives no field paths), so each case asks for the one word that none can do without.
"""

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
    ("breaks", "word"),
    [
        (duplicate_host, "hosts"),
        (total_weight_zero, "weight"),
        (no_action, "route"),
        (bad_subset_name, "subset"),
        (bad_redirect_code, "redirect"),
        (bad_regex, "uri"),
    ],
)
def test_an_invalid_virtual_service_is_refused_with_what_is_wrong(
    mesh_namespace: MeshNamespace, breaks: Callable[[Spec], None], word: str
) -> None:
    (valid,) = documents.read(Path(__file__).with_suffix(".yaml"))
    mesh_namespace.apply(valid)
    invalid = copy.deepcopy(valid)
    breaks(invalid["spec"])

    mesh_namespace.assert_refused(invalid, word)
