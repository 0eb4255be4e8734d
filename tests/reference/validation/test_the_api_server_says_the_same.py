"""Each bad document is refused by an API server that asks Galley, in Galley's words; each twin is taken.

The API server refuses by the CRD's schema and CEL what it can, and asks the webhook about the rest: the reader of a
refusal cannot tell which. What counts as the same words: `refusals`. ``make validation-live`` does the same on a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh_conformance.validation.vectors import Vector, all_vectors
from mesh_reference.model.schema import kinds, types
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors

sys.path.insert(0, str(Path(__file__).parent))

from admitting import Api, admitting
from judged import by_the_definition, refusal_of
from refusals import agrees, said

SERVED = [vector for vector in all_vectors() if vector.rule != "unknown-kind"]
BY_EACH_WAY = {"unknown-field", "wrong-type", "one-of", "V56a", "V59c", "V12", "annotation", "IST0130", "V25a"}
"""A few that the decoder, the schema, CEL and the webhook refuse, one that is only warned of, one of a mebibyte."""


def check(status: dict[str, object] | None, vector: Vector) -> None:
    if vector.severity == "warning":
        assert status is None
        return
    assert status is not None
    message = str(status["message"])
    assert agrees(said(message), errors(galley.validate(vector.bad))), message


@pytest.mark.parametrize("vector", SERVED, ids=lambda vector: vector.id)
def test_a_bad_document_is_refused_in_the_words_of_validate_and_its_twin_is_taken(vector: Vector) -> None:
    assert refusal_of(vector.good) is None
    check(refusal_of(vector.bad), vector)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with admitting(tmp_path_factory.mktemp("admitting")) as found:
        yield found


FEW = {vector.rule: vector for vector in reversed(SERVED) if vector.rule in BY_EACH_WAY}


@pytest.mark.parametrize("vector", FEW.values(), ids=lambda vector: vector.rule)
def test_over_http_and_tls_it_is_the_same(api: Api, vector: Vector) -> None:
    assert api.create(vector.good)[0] == 201
    status, answer = api.create(vector.bad)
    assert status in {201, 400, 422}
    check(None if status == 201 else answer, vector)


def rules_of(wanted: types.Type) -> set[str]:
    found = {rule.rule for rule in getattr(wanted, "rules", ())}
    match wanted:
        case types.ListOf():
            return found | rules_of(wanted.item)
        case types.MapOf():
            return found | rules_of(wanted.value)
        case types.Message():
            return found.union(*(rules_of(inner) for inner in wanted.fields.values()))
    return found


def test_every_rule_of_a_definition_refuses_something() -> None:
    told: set[str] = set()
    for vector in SERVED:
        status = by_the_definition(vector.bad)
        told |= {vector.rule} if status and f"[{vector.rule}]" in str(status["message"]) else set()
    assert set().union(*(rules_of(kind.spec) for kind in kinds.KINDS)) - told == set()
