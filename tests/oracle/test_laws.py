"""Laws that the oracle keeps for every cell, whatever its routes."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pytest_mesh.contracts import Echo, Observation
from pytest_mesh.oracle.binding import blocks_of
from pytest_mesh.oracle.judging import judge
from pytest_mesh.oracle.matching import block_miss, filtered
from pytest_mesh.oracle.model import Source
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world
from pytest_mesh.oracle.requests import seen
from pytest_mesh.strategies import cast
from pytest_mesh.strategies.cells import Cell
from pytest_mesh.strategies.reductions import reductions
from pytest_mesh.strategies.routes import cells, draw_cells

HOST = "cell.test"
CLIENT = Source(namespace="stage", labels={"app": "client"})
LAW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
NEVER = {"match": [{"headers": {"x-never": {"exact": "never"}}}], "directResponse": {"status": 599}}


def world_of(cell: Cell):
    found = [*cast.documents("stage"), cell.virtual_service("cell", HOST)]
    return read_world([(one, "") for one in found], namespace="stage")


def outcomes(cell: Cell):
    world = world_of(cell)
    return [predict(world, CLIENT, one.request(HOST, "target")).outcomes for one in cell.requests]


@LAW
@given(cells())
def test_probabilities_sum_to_one_and_none_is_zero(cell):
    for found in outcomes(cell):
        assert sum(one.probability for one in found) == 1
        assert all(one.probability > 0 for one in found)


@LAW
@given(cells(), st.data())
def test_a_rule_that_never_matches_changes_nothing(cell, data):
    # F5: a VirtualService without a block for this client and port is left out, and NEVER would bring it in.
    (own,) = (one for one in world_of(cell).virtual_services if one.name == "cell")
    assume(any(not filtered(block, CLIENT, 80) for rule in own.rules for block in blocks_of(rule)))
    index = data.draw(st.integers(0, len(cell.http)))
    assert outcomes(replace(cell, http=(*cell.http[:index], NEVER, *cell.http[index:]))) == outcomes(cell)


@LAW
@given(cells())
def test_blocks_of_a_rule_may_stand_in_any_order_where_no_rewrite_reads_the_block(cell):
    turned = tuple({**rule, "match": rule["match"][::-1]} if "match" in rule else rule for rule in cell.http)
    assume(not any("rewrite" in rule or "prefixRewrite" in rule.get("redirect", {}) for rule in cell.http))
    assert outcomes(replace(cell, http=turned)) == outcomes(cell)


@LAW
@given(cells())
def test_a_rule_of_two_blocks_is_two_rules_of_one(cell):
    apart = tuple(
        {**rule, "match": [block]} if block else rule for rule in cell.http for block in rule.get("match", [None])
    )
    assert outcomes(replace(cell, http=apart)) == outcomes(cell)


@LAW
@given(cells())
def test_neighbours_may_change_places_unless_both_match(cell):
    world = world_of(cell)
    rules = world.virtual_services[0].rules
    for index in range(len(rules) - 1):
        http = [*cell.http[:index], cell.http[index + 1], cell.http[index], *cell.http[index + 2 :]]
        for request, before in zip(cell.requests, outcomes(cell), strict=True):
            sent = seen(request.request(HOST, "target"))
            both = all(
                any(not filtered(block, CLIENT, 80) and not block_miss(block, sent) for block in blocks_of(rule))
                for rule in rules[index : index + 2]
            )
            if not both:
                assert outcomes(Cell(http=tuple(http), requests=(request,))) == [before]


@LAW
@given(cells())
def test_a_weight_may_be_split_between_equal_branches(cell):
    def split(rule):
        branches = rule.get("route", [])
        if len(branches) < 2:
            return rule
        first = branches[0]
        halves = [{**first, "weight": first["weight"]}, {**first, "weight": first["weight"]}]
        return {**rule, "route": [*halves, *({**one, "weight": one["weight"] * 2} for one in branches[1:])]}

    assert _as_sets(outcomes(replace(cell, http=tuple(map(split, cell.http))))) == _as_sets(outcomes(cell))


@LAW
@given(cells(), st.integers(2, 7))
def test_weights_count_by_their_ratio(cell, factor):
    def scaled(rule):
        if "route" not in rule:
            return rule
        return {
            **rule,
            "route": [{**one, "weight": one["weight"] * factor} if "weight" in one else one for one in rule["route"]],
        }

    assert outcomes(replace(cell, http=tuple(map(scaled, cell.http)))) == outcomes(cell)


@LAW
@given(cells())
def test_every_allowed_outcome_is_judged_allowed_and_another_status_is_not(cell):
    world = world_of(cell)
    for request in cell.requests:
        prediction = predict(world, CLIENT, request.request(HOST, "target"))
        for outcome in prediction.outcomes:
            observation = as_observed(outcome)
            assert judge(prediction, observation).allowed, judge(prediction, observation).differences
            assert not judge(prediction, replace(observation, status=599)).allowed


@LAW
@given(cells())
def test_reductions_are_smaller_and_can_be_asked_about(cell):
    for one in reductions(cell)[:8]:
        assert one.size < cell.size
        outcomes(one)


@LAW
@given(cells())
def test_a_cell_survives_being_saved(cell):
    assert Cell.from_json(json.loads(json.dumps(cell.to_json()))) == cell


def test_the_same_seed_draws_the_same_cells():
    first, again, other = (draw_cells(10, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert len({one.key for one in first}) == 10


def as_observed(outcome):
    answer = tuple((name, value) for name, value in outcome.response_headers.items() if value is not None)
    if outcome.location is not None:
        answer = (*answer, ("location", outcome.location))
    echo = None
    if outcome.by == "workload":
        work = outcome.workloads[0]
        echo = Echo(
            version=work.version, pod=f"{work.name}-x", namespace=work.namespace, method=outcome.method,
            path=outcome.path, host=outcome.authority,
            headers=tuple((name, value) for name, value in outcome.request_headers.items() if value is not None),
        )  # fmt: skip
    return Observation(
        request=0, status=outcome.status, headers=answer, echo=echo, body=outcome.body or "", seconds=outcome.delay
    )


def _as_sets(found):
    return [{str(one): one.probability for one in outcomes} for outcomes in found]
