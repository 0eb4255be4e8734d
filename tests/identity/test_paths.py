"""Path validation: which of several paths is taken, what names mean, and how much work a hostile chain can make."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from pytest_mesh.identity import forging, paths
from pytest_mesh.identity.forging import constraints, extension, moment
from pytest_mesh.identity.paths import best_path, check_chain

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = "spiffe://example.org/ns/shop/sa/web"
LEAF_KEY, ONE, TWO, THREE = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
ROOT_DRAFT = forging.signer("root", ONE, now=AT)
ROOT = ROOT_DRAFT.sign(ONE)
SECONDS = 5.0
"""For what takes tenths of one; a quarter of an hour where the work is not bounded."""


def rules(chain: list, bundle: list) -> set[str]:
    return {one.rule for one in check_chain(chain, bundle, at=AT)}


def test_a_cross_signed_root_leads_to_whichever_anchor_is_there() -> None:
    other = forging.signer("other", TWO, now=AT).sign(TWO)
    cross = replace(ROOT_DRAFT, issuer=other.subject, serial=b"\x07").sign(TWO)
    leaf = forging.leaf(ID, ROOT, LEAF_KEY, now=AT).sign(ONE)
    places = [
        [step.place for step in best_path([leaf, cross], bundle, at=AT)[0]]
        for bundle in ([other], [ROOT], [other, ROOT])
    ]
    assert places == [["chain[0]", "chain[1]", "bundle[0]"], ["chain[0]", "bundle[0]"], ["chain[0]", "bundle[1]"]]
    assert rules([leaf, cross], [other]) == set()


def test_an_expired_issuer_is_passed_by_when_its_renewal_is_there() -> None:
    old = replace(ROOT_DRAFT, ends=moment(AT - timedelta(days=1))).sign(ONE)
    leaf = forging.leaf(ID, ROOT, LEAF_KEY, now=AT).sign(ONE)
    assert rules([leaf], [old, ROOT]) == set()
    assert rules([leaf], [old]) == {"PATH-TIME"}


def test_the_second_of_the_end_is_still_in_time() -> None:
    draft = forging.leaf(ID, ROOT, LEAF_KEY, now=AT, ends=moment(AT))
    assert rules([draft.sign(ONE)], [ROOT]) == set()
    assert rules([replace(draft, ends=moment(AT - timedelta(seconds=1))).sign(ONE)], [ROOT]) == {"PATH-TIME"}


def test_names_are_the_same_in_other_case_and_with_other_blanks() -> None:
    draft = forging.leaf(ID, ROOT, LEAF_KEY, now=AT)
    assert rules([replace(draft, issuer=forging.name(" ROOT ")).sign(ONE)], [ROOT]) == set()
    assert rules([replace(draft, issuer=forging.name("ro ot")).sign(ONE)], [ROOT]) == {"PATH-ISSUER"}


def test_order_and_what_no_path_needs_are_no_fault() -> None:
    middle = forging.signer("middle", TWO, now=AT, issuer=ROOT).sign(ONE)
    low = forging.signer("low", THREE, now=AT, issuer=middle).sign(TWO)
    stranger = forging.signer("stranger", LEAF_KEY, now=AT).sign(LEAF_KEY)
    leaf = forging.leaf(ID, low, LEAF_KEY, now=AT).sign(THREE)
    assert rules([leaf, stranger, middle, ROOT, low], [ROOT]) == set()


def test_an_intermediate_in_the_bundle_is_an_anchor() -> None:
    middle = forging.signer("middle", TWO, now=AT, issuer=ROOT).sign(ONE)
    leaf = forging.leaf(ID, middle, LEAF_KEY, now=AT).sign(TWO)
    assert rules([leaf], [middle]) == set()


def test_a_leaf_in_the_bundle_is_no_anchor_of_itself() -> None:
    leaf = forging.leaf(ID, ROOT, LEAF_KEY, now=AT).sign(ONE)
    assert rules([leaf], [leaf]) == {"PATH-ISSUER"}


@pytest.mark.parametrize("anchored", [True, False])
def test_a_hundred_issuers_of_one_name_take_bounded_time(anchored: bool) -> None:
    draft = forging.signer("one", TWO, now=AT).without(x509.SubjectKeyIdentifier)
    same = [replace(draft, serial=bytes([1, index])).sign(THREE) for index in range(paths.MAX_CHAIN - 1)]
    leaf = forging.leaf(ID, same[0], LEAF_KEY, now=AT).without(x509.AuthorityKeyIdentifier).sign(TWO)
    bundle = [replace(draft, serial=b"\x02").sign(TWO)] if anchored else [ROOT]
    started = time.process_time()
    assert rules([leaf, *same], bundle) == (set() if anchored else {"PATH-ISSUER"})
    assert time.process_time() - started < SECONDS


def test_a_longer_chain_is_not_looked_at() -> None:
    leaf = forging.leaf(ID, ROOT, LEAF_KEY, now=AT).sign(ONE)
    assert rules([leaf] * (paths.MAX_CHAIN + 1), [ROOT]) == {"PATH-5280"}


def test_thousands_of_names_and_constraints_are_refused_and_not_compared() -> None:
    many = [x509.UniformResourceIdentifier(f"{index}.example") for index in range(2000)]
    middle = forging.signer("middle", TWO, now=AT, issuer=ROOT)
    signed = middle.having(extension(x509.NameConstraints(None, many), critical=True)).sign(ONE)
    uris = forging.uri_names(*(f"spiffe://{index}.example.org/a" for index in range(2000)))
    leaf = forging.leaf(ID, signed, LEAF_KEY, now=AT).having(uris).sign(TWO)
    started = time.process_time()
    found = check_chain([leaf, signed], [ROOT], at=AT)
    assert [one.rule for one in found] == ["PATH-NC"]
    assert "comparisons" in found[0].message
    assert time.process_time() - started < SECONDS


def test_a_kind_of_name_that_is_not_evaluated_is_refused_where_it_is_constrained() -> None:
    oid = x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))
    middle = forging.signer("middle", TWO, now=AT, issuer=ROOT).having(constraints(ca=True))
    signed = middle.having(extension(x509.NameConstraints([oid], None), critical=True)).sign(ONE)
    leaf = forging.leaf(ID, signed, LEAF_KEY, now=AT)
    named = leaf.having(
        extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(ID), oid]), critical=True)
    )
    assert rules([leaf.sign(TWO), signed], [ROOT]) == set()
    assert rules([named.sign(TWO), signed], [ROOT]) == {"PATH-NC"}
