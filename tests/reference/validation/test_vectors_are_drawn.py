"""What the suite draws of the vectors: by seed, of every kind, and as bad in a namespace of the suite's as where they were written."""

from __future__ import annotations

import pytest

from mesh_conformance.validation.vectors import KINDS, NAMESPACE, all_vectors, drawn
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors

ELSEWHERE = "mesh-7f3a"


def test_each_kind_is_drawn_and_another_seed_draws_others():
    first = drawn(1, 3)
    assert [one.kind for one in first] == [kind for kind, _api in KINDS.values() for _ in range(3)]
    assert drawn(1, 3) == first
    assert {one.id for one in drawn(2, 3)} != {one.id for one in first}


def test_all_are_drawn_but_warnings_and_versions_that_nobody_serves():
    left = {one.rule for one in all_vectors()} - {one.rule for one in drawn(0, None)}
    assert "unknown-kind" in left
    assert all(one.severity == "error" for one in drawn(0, None))
    assert len(drawn(0, None)) == sum(one.severity == "error" and one.rule != "unknown-kind" for one in all_vectors())


@pytest.mark.parametrize("kind", [kind for kind, _api in KINDS.values()])
def test_a_vector_of_another_namespace_breaks_the_same_rule_and_its_twin_none(kind):
    for vector in (one.within(ELSEWHERE) for one in drawn(0, None) if one.kind == kind):
        assert vector.bad["metadata"]["namespace"] == ELSEWHERE
        assert {one.rule for one in errors(galley.validate(vector.bad))} == {vector.rule}, vector.id
        assert errors(galley.validate(vector.good)) == [], vector.id
        assert f"{NAMESPACE}/" not in str(vector.good), vector.id
