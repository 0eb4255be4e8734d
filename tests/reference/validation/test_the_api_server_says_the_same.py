"""Each bad document is refused by an API server that asks Galley, in Galley's words; each twin is taken.

The API server refuses by the CRD's schema and CEL what it can, and asks the webhook about the rest: the reader of a
refusal cannot tell which. What counts as the same words: `refusals`. ``make validation-live`` does the same on a cluster.
"""

from __future__ import annotations

import copy
import random
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mesh_conformance.validation.vectors import Vector, all_vectors
from mesh_reference.model.schema import kinds, types
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors

sys.path.insert(0, str(Path(__file__).parent))

import listing
from admitting import Api, admitting
from judged import by_the_definition, by_the_webhook, refusal_of
from mutating import mutated
from refusals import agrees, said

Json = dict[str, Any]

SERVED = [vector for vector in all_vectors() if vector.rule != "unknown-kind"]
BY_EACH_WAY = {"unknown-field", "wrong-type", "one-of", "V56a", "V59c", "V12", "annotation", "IST0130", "V25a"}
"""A few that the decoder, the schema, CEL and the webhook refuse, one that is only warned of, one of a mebibyte."""


@cache
def by_the_definition_of(vector: str) -> Json | None:
    """The Status with which schema or CEL refuses the vector's bad document; judged once."""
    return by_the_definition(next(one.bad for one in SERVED if one.id == vector))


def check(status: Json | None, vector: Vector) -> None:
    if vector.severity == "warning":
        assert status is None
        return
    assert status is not None
    message = str(status["message"])
    assert agrees(said(message), errors(galley.validate(vector.bad))), message


@pytest.mark.parametrize("vector", SERVED, ids=lambda vector: vector.id)
def test_a_bad_document_is_refused_in_the_words_of_validate_and_its_twin_is_taken(vector: Vector) -> None:
    assert refusal_of(vector.good) is None
    check(by_the_definition_of(vector.id) or by_the_webhook(vector.bad), vector)


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


def test_what_a_definition_refuses_galley_refuses_too() -> None:
    chance = random.Random(1)
    spec_of = {kind.kind: kind.spec for kind in kinds.KINDS}
    twins = [vector.good for vector in SERVED if len(str(vector.good)) < 3000]
    refused = 0
    for _ in range(80):
        document = copy.deepcopy(chance.choice(twins))
        document["spec"] = mutated(document["spec"], spec_of[document["kind"]], chance)
        if by_the_definition(document) is not None:
            refused += 1
            assert errors(galley.validate(document)), document
    assert refused > 5


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
        status = by_the_definition_of(vector.id)
        told |= {vector.rule} if status and f"[{vector.rule}]" in str(status["message"]) else set()
    assert set().union(*(rules_of(kind.spec) for kind in kinds.KINDS)) - told == set()


def test_every_rule_has_words_and_a_vector() -> None:
    assert listing.WORDS.keys() == {vector.rule for vector in all_vectors()}


def test_the_page_of_the_rules_is_up_to_date(request: pytest.FixtureRequest) -> None:
    page = listing.page(by_the_definition_of)
    if request.config.getoption("--update-goldens"):
        listing.PAGE.write_text(page)
    assert listing.PAGE.read_text() == page, "run with --update-goldens and read what it writes"
