"""Exit codes: 1 > 11 > 10, pytest's own kept, never 0 without an executed check."""

from __future__ import annotations

import pytest

from pytest_mesh.contracts import Evidence
from pytest_mesh.failures import Inconclusive, Infrastructure, MeshFailure, Refused
from pytest_mesh.kube import KubeError
from pytest_mesh.report.verdict import exit_code, outcome_of


def check(outcome):
    return Evidence(check="t", feature="F", outcome=outcome)


@pytest.mark.parametrize(
    ("own", "failures", "unproven", "stale", "suite", "code"),
    [
        (0, 0, 0, 0, [check("passed")], 0),
        (0, 0, 0, 0, None, 0),
        (1, 1, 0, 0, [check("failed")], 1),
        (1, 1, 1, 1, [check("failed")], 1),
        (1, 0, 1, 1, [check("inconclusive")], 11),
        (1, 0, 1, 0, [check("inconclusive")], 10),
        (1, 0, 1, 0, None, 10),
        (0, 0, 0, 0, [check("not-applicable")], 10),
        (0, 0, 0, 0, [check("skipped"), check("passed")], 0),
        (2, 1, 0, 0, None, 2),
        (3, 0, 1, 0, None, 3),
        (4, 0, 0, 0, None, 4),
        (5, 0, 0, 0, None, 5),
    ],
)
def test_the_exit_code_says_who_is_to_blame(own, failures, unproven, stale, suite, code):
    assert exit_code(own, failures=failures, unproven=unproven, stale_waivers=stale, suite=suite) == code


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (AssertionError(), "failed"),
        (Refused("no"), "failed"),
        (RuntimeError(), "failed"),
        (Inconclusive("cap"), "inconclusive"),
        (Infrastructure("no iptables"), "infrastructure"),
        (KubeError(503, "ServiceUnavailable", "m", "w"), "infrastructure"),
        (KubeError(404, "NotFound", "m", "w"), "failed"),
        (ExceptionGroup("g", [Infrastructure("x"), Infrastructure("y")]), "infrastructure"),
        (ExceptionGroup("g", [Infrastructure("x"), MeshFailure("y")]), "failed"),
    ],
)
def test_an_exception_says_which_verdict_it_is(error, outcome):
    assert outcome_of(error) == outcome
