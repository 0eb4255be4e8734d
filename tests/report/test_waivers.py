"""Expected failures: what a file may say, and when an entry counts."""

from __future__ import annotations

import datetime as dt

import pytest

from pytest_mesh.contracts import Evidence
from pytest_mesh.report import waivers

TODAY = dt.date(2026, 11, 23)
CHECK = "suite/test_routes.py::test_no_match"


def read(text):
    return waivers.read(text, source="expected.yaml")


def entry(**fields):
    return waivers.Waiver(**{"id": CHECK, "reason": "known", **fields})


def test_an_entry_says_which_check_may_fail_and_why():
    found = read(
        f"format: 1\nexpected:\n- {{id: '{CHECK}', reason: known, expires: 2026-12-01, signature: gave 503}}\n"
    )

    assert found == {CHECK: entry(expires=dt.date(2026, 12, 1), signature="gave 503")}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "expected.yaml: not YAML"),
        ("- a", "expected.yaml: want a mapping"),
        ("format: 2\nexpected: []", "expected.yaml: format: is 2, this version reads 1"),
        ("expected: []", "expected.yaml: format: is None"),
        ("format: 1\nexpect: []", "expected.yaml: expect: is not known"),
        ("format: 1\nexpected: {}", "expected.yaml: expected: want a list"),
        ("format: 1\nexpected: [a]", "expected.yaml: expected[0]: want a mapping"),
        ("format: 1\nexpected: [{id: a}]", "expected.yaml: expected[0].reason: is required"),
        ("format: 1\nexpected: [{id: a, reason: ' '}]", "expected.yaml: expected[0].reason: is required"),
        ("format: 1\nexpected: [{reason: a}]", "expected.yaml: expected[0].id: is required"),
        ("format: 1\nexpected: [{id: a, reason: r, expire: 2026-01-01}]", "did you mean 'expires'?"),
        ("format: 1\nexpected: [{id: a, reason: r, expires: soon}]", "expected[0].expires: 'soon' is no day"),
        ("format: 1\nexpected: [{id: a, reason: r}, {id: a, reason: s}]", "expected[1].id: stands in expected[0]"),
        ("format: 1\nexpected: [{id: a, reason: r, signature: 5}]", "expected[0].signature: want text"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_field_and_rule(text, problem):
    with pytest.raises(waivers.WaiverError) as caught:
        read(text)

    assert problem in str(caught.value)


def test_every_problem_of_a_file_is_named_at_once():
    with pytest.raises(waivers.WaiverError) as caught:
        read("format: 1\nexpected: [{id: a}, {reason: b}]")

    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("fields", "message", "excused"),
    [
        ({}, "anything", True),
        ({"signature": "gave 503"}, "the request gave 503", True),
        ({"signature": "gave 503"}, "the request gave 200", False),
        ({"expires": TODAY}, "anything", True),
        ({"expires": TODAY - dt.timedelta(days=1)}, "anything", False),
    ],
)
def test_only_the_expected_failure_in_its_time_is_excused(fields, message, excused):
    assert entry(**fields).excuses(message, TODAY) is excused


@pytest.mark.parametrize(
    ("fields", "outcome", "lines"),
    [
        ({}, "waived", 0),
        ({}, "passed", 1),
        ({}, "not-applicable", 0),
        ({"expires": TODAY - dt.timedelta(days=1)}, "failed", 1),
        ({"expires": TODAY - dt.timedelta(days=1)}, None, 1),
        ({"expires": TODAY}, None, 0),
    ],
)
def test_an_entry_is_stale_when_its_check_passed_or_its_day_is_over(fields, outcome, lines):
    evidence = [Evidence(check=CHECK, feature="F", outcome=outcome)] if outcome else []

    assert len(waivers.stale({CHECK: entry(**fields)}, evidence, TODAY)) == lines


def test_an_id_that_no_check_of_its_file_bears_is_unknown():
    checks = {CHECK, "suite/test_other.py::test_it"}

    assert waivers.unknown([CHECK, "suite/elsewhere.py::test_it"], checks) == []
    assert waivers.unknown(["suite/test_routes.py::test_no_macht"], checks) == [
        f"expected: no check has the id 'suite/test_routes.py::test_no_macht'; did you mean {CHECK!r}?"
    ]
