"""The reports of shards, put together, are the report of the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import get_args

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh import documents
from pytest_mesh.contracts import Evidence, Implementation, Outcome
from pytest_mesh.report import model
from pytest_mesh.report.command import command
from pytest_mesh.report.merging import MergeError, merge
from pytest_mesh.report.verdict import exit_code
from pytest_mesh.report.verification import problems


@dataclass(frozen=True)
class Feature:
    id: str
    profile: str = "P"
    level: str = "core"


FEATURES = [
    Feature("One"),
    Feature("Two"),
    Feature("More", level="extended"),
    Feature("Else", level="extended"),
    Feature("Other", profile="Q"),
    Feature("New", level="provisional"),
]
MESH = Implementation(name="m", organization="o", project="p", url="u", version="1", contact=("c",))
CHECKS = st.lists(
    st.builds(
        Evidence,
        check=st.integers(0, 50).map("t::{}".format),
        feature=st.sampled_from([one.id for one in FEATURES]),
        outcome=st.sampled_from(get_args(Outcome)),
        facts=st.sampled_from([{}, {"alpha": 1e-6}, {"alpha": 3e-7, "claims": 3}]),
    ),
    unique_by=lambda one: one.check,
    max_size=12,
)
DECLARED = st.one_of(st.just("all"), st.just("inferred"), st.frozensets(st.sampled_from([one.id for one in FEATURES])))


def report(found, *, shard="", implementation=MESH, **suite):
    outcomes = [one.outcome for one in found]
    failures = outcomes.count("failed")
    unproven = outcomes.count("inconclusive") + outcomes.count("infrastructure")
    code = exit_code(1 if failures + unproven else 0, failures=failures, unproven=unproven, suite=None)
    return model.build(
        found,
        FEATURES,
        implementation=implementation,
        suite={"name": "s", **({"shard": shard} if shard else {}), **suite},
        environment={"provider": "local", "kubernetes": "v1", "dataplane": "e"},
        date="2026-01-01T00:00:00Z",
        exit_code=code,
    )


@given(found=CHECKS, declared=DECLARED, where=st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_four_shards_give_what_one_run_gives(found, declared, where):
    mesh = replace(MESH, features=declared)
    shards: list[list[Evidence]] = [[], [], [], []]
    for one, number in zip(found, where, strict=False):
        shards[number].append(one)
    parts = [report(part, shard=f"{n}/4", implementation=mesh) for n, part in enumerate(shards, start=1)]

    merged = merge(parts)

    assert merged == report(found, implementation=mesh)
    assert problems(merged) == []


def shards(number=2):
    rows = [Evidence(check=f"t::{n}", feature="One", outcome="passed") for n in range(number)]
    return [report([row], shard=f"{n}/{number}") for n, row in enumerate(rows, start=1)]


def test_a_shard_that_does_not_say_the_profile_had_the_usual_one():
    first, second = shards()
    second["suite"]["hypothesisProfile"] = "ci"

    assert len(merge([first, second])["tests"]) == 2
    second["suite"]["hypothesisProfile"] = "nightly"
    with pytest.raises(MergeError, match=r"suite.hypothesisProfile is nightly, the first report's is ci"):
        merge([first, second])


def test_a_missing_shard_is_named():
    with pytest.raises(MergeError, match="shard 2/3 is missing"):
        merge([one for one in shards(3) if one["suite"]["shard"] != "2/3"])


def test_a_shard_that_is_given_twice_is_refused():
    first, second = shards()

    with pytest.raises(MergeError, match=r"t::0 is in report 1 too"):
        merge([first, second, first])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"implementation": replace(MESH, version="2")}, "report 2: implementation is"),
        ({"seed": 7}, "report 2: suite.seed is 7, the first report's is None"),
    ],
)
def test_reports_of_different_runs_are_not_merged(change, said):
    other = report([Evidence(check="t::z", feature="One", outcome="passed")], shard="2/2", **change)

    with pytest.raises(MergeError, match=said):
        merge([shards()[0], other])


@pytest.mark.parametrize(("codes", "code"), [((0, 5), 0), ((10, 1), 1), ((11, 10), 11), ((1, 2), 2), ((5, 5), 5)])
def test_the_worst_exit_code_stands(codes, code):
    parts = [{**one, "exitCode": own} for one, own in zip(shards(), codes, strict=True)]

    assert merge(parts)["exitCode"] == code


def test_the_command_writes_one_report(tmp_path):
    paths = []
    for number, one in enumerate(shards()):
        path = tmp_path / f"{number}.yaml"
        path.write_text(documents.write(one))
        paths.append(str(path))
    target = tmp_path / "all.yaml"

    result = CliRunner().invoke(command, ["merge", *paths, "-o", str(target)])

    assert result.exit_code == 0, result.output
    assert [one["id"] for one in documents.load(target.read_text())["tests"]] == ["t::0", "t::1"]
    assert CliRunner().invoke(command, ["merge", paths[0]]).exit_code == 1
