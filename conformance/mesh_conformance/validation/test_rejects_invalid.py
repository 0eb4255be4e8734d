"""Documents that cannot be right are refused when they are applied, and the refusal names what is wrong.

Meshes word it differently (Istio gives no field paths). So a few cases ask for the one word that none can do without;
of the many, drawn from the vectors, each is refused while its twin, which differs in that field alone, is taken.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mesh_conformance.validation.vectors import drawn
from pytest_mesh import documents
from pytest_mesh.failures import MeshFailure, Refused
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings

Spec = dict[str, Any]
OF_EACH_KIND = 3
"""Vectors a run; with MESH_EXTENDED all of them."""


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


@pytest.mark.mesh_feature("RejectsInvalid")
def test_a_document_with_one_bad_field_is_refused_and_its_twin_is_taken(
    mesh_namespace: MeshNamespace, mesh_settings: MeshSettings
) -> None:
    vectors = drawn(mesh_settings.seed, None if os.environ.get("MESH_EXTENDED") else OF_EACH_KIND)
    mesh_namespace.facts(documents=len(vectors), seed=mesh_settings.seed)
    problems = []
    for vector in (one.within(mesh_namespace.name) for one in vectors):
        what = f"{vector.kind} with {vector.line} ({vector.rule})"
        try:
            mesh_namespace.apply(vector.bad, dry_run=True)
        except Refused:
            pass
        else:
            problems.append(f"{what}: was taken, a refusal was wanted")
        try:
            mesh_namespace.apply(vector.good, dry_run=True)
        except Refused as refusal:
            problems.append(f"the twin of {what}: {refusal}")
    if problems:
        raise MeshFailure(f"{len(problems)} of {2 * len(vectors)} documents:\n" + "\n".join(problems))
