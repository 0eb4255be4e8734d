"""Every rule of Galley: a document that breaks only it, with field path and rule id, and a twin that breaks none.

The documents are the suite's vectors: `mesh_conformance.validation.vectors`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mesh_reference.validation
from mesh_conformance.validation.vectors import Vector, all_vectors
from mesh_reference.model.schema import shape
from mesh_reference.validation import galley
from mesh_reference.validation.findings import Finding

NOT_ALONE = {"V49": "V49w", "V58r": "V58m"}
"""Rules whose documents get a warning too, by a rule that says another thing about the same fields."""


def judged(document: dict[str, object]) -> list[Finding]:
    """What the rules say; that a kind is only stored is said of every document of it."""
    return [found for found in galley.validate(document) if found.rule != galley.INACTIVE]


@pytest.mark.parametrize("vector", all_vectors(), ids=lambda vector: vector.id)
def test_a_rule_speaks_at_its_field_alone_and_not_about_the_twin(vector: Vector) -> None:
    assert [found.text for found in judged(vector.good)] == []
    *others, spoken = sorted(judged(vector.bad), key=lambda found: found.rule == vector.rule)
    assert [found.rule for found in others] == [NOT_ALONE[rule] for rule in NOT_ALONE if rule == vector.rule]
    assert all(found.severity == "warning" for found in others)
    assert (spoken.rule, spoken.severity) == (vector.rule, vector.severity)
    assert spoken.text.startswith(f"{vector.at}: ")
    assert vector.says in spoken.message


def written() -> set[str]:
    """The ids that stand in the code of the rules and of the shape."""
    rules = {
        rule
        for path in Path(mesh_reference.validation.__file__).parent.glob("*.py")
        for rule in re.findall(r'"(V\d+[a-z]*|IST\d{4}|labels|subnet|annotation|unknown-\w+)"', path.read_text())
    }
    return rules | set(re.findall(r'rule="([a-z-]+)"', Path(shape.__file__).read_text()))


def test_every_rule_of_the_code_has_a_vector_and_every_vector_a_rule() -> None:
    assert len(written()) > 200
    assert written() == {vector.rule for vector in all_vectors()}


def test_every_kind_has_vectors() -> None:
    assert {vector.kind for vector in all_vectors()} == {kind.kind for kind in galley.kinds.KINDS}
