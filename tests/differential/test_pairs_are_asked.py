"""Two made-up meshes behind the sides: what differs is found, what is known or the same is not, and errors of shares too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mesh_conformance.differential.pair import Pair
from mesh_conformance.differential.side import Asked, Side
from pytest_mesh.contracts import Echo, Json, Observation, Request
from pytest_mesh.differential import known
from pytest_mesh.differential.answers import Answer, answer_of
from pytest_mesh.oracle.model import Source
from pytest_mesh.strategies.cells import Cell, Sent

ROUTE = {"route": [{"destination": {"host": "target", "subset": "v1"}}]}
SPLIT = {
    "route": [
        {"destination": {"host": "target", "subset": "v1"}, "weight": 1},
        {"destination": {"host": "target", "subset": "v2"}, "weight": 1},
    ]
}
Behave = Callable[[Request], Observation]


@dataclass
class MadeUp:
    """A side whose mesh is a function."""

    name: str
    behave: Behave
    refuses: str = ""
    refused: dict[int, str] = field(default_factory=dict)
    pushes: int = 0
    namespace: Any = None
    source: Source = field(default_factory=lambda: Source(namespace="ns", labels={"app": "client"}))

    def __post_init__(self) -> None:
        self.namespace = SimpleNamespace(name="ns")

    def host(self, index: int) -> str:
        return f"cell-{index}.ns.test"

    def document(self, index: int, cell: Cell) -> Json:
        return cell.virtual_service(f"cell-{index}", self.host(index))

    def push(self, cells: Sequence[Cell]) -> None:
        self.pushes += 1
        self.refused = dict.fromkeys(range(len(cells)), self.refuses) if self.refuses else {}

    def ask(self, requests: Sequence[Request]) -> list[Asked]:
        return [Asked(observation=self.behave(one)) for one in requests]

    def count(self, request: Request, times: int) -> Counter[str]:
        found = [self.behave(request) for _ in range(times)]
        return Counter(one.echo.version if one.echo else f"status {one.status}" for one in found)

    def answer(self, asked: Asked) -> Answer:
        return answer_of(asked.observation, namespace="ns")


def answered(version: str, *, server: str = "envoy") -> Behave:
    def behave(request: Request) -> Observation:
        host = dict(request.headers)["host"]
        pod = f"target-{version}-c8g64lrg9c-x7mnh"
        echo = Echo(version=version, pod=pod, namespace="ns", method="GET", path="/", host=host)
        return Observation(request=0, status=200, headers=(("server", server),), echo=echo)

    return behave


def split(share: float) -> Behave:
    random = Random(1)

    def behave(request: Request) -> Observation:
        return answered("v1" if random.random() < share else "v2")(request)

    return behave


def pair(one: Behave, other: Behave, *, entries: tuple[known.Known, ...] = (), refuses: str = "") -> Pair:
    sides = (MadeUp("one", one), MadeUp("other", other, refuses=refuses))
    return Pair(first=cast(Side, sides[0]), second=cast(Side, sides[1]), known=entries)


def cell(*http: Json) -> Cell:
    return Cell(http=http, requests=(Sent(),))


SERVER = known.Known(
    id="server",
    reason="r",
    link="l",
    aspects=("response header server",),
    case=cell({"directResponse": {"status": 200}}),
)


def test_meshes_that_do_the_same_do_not_differ() -> None:
    asked = pair(answered("v1"), answered("v1"))
    assert asked.differences([cell(ROUTE)] * 3) == []
    assert asked.opinions == 3
    assert not asked.sampled


def test_another_workload_is_a_difference_with_its_request_and_both_values() -> None:
    (found, judged) = pair(answered("v1"), answered("v2")).differences([cell(ROUTE)])
    assert (found.kind, found.aspects) == ("answers", {"workload": ("target-v1", "target-v2")})
    assert found.request == Sent()
    assert judged.kind == "oracle"
    assert "target-v2" in judged.aspects["oracle"][0]


def test_a_split_of_the_same_shares_is_the_same_whatever_came_first() -> None:
    asked = pair(split(0.5), split(0.5))
    assert asked.differences([cell(SPLIT)]) == []
    assert asked.sampled == 1
    assert not asked.undecided


def test_a_split_of_other_shares_is_a_difference_of_shares() -> None:
    (found,) = pair(split(0.5), split(0.05)).differences([cell(SPLIT)])
    assert found.kind == "shares"
    assert set(found.aspects) == {"shares"}


def test_a_version_that_one_mesh_never_reaches_is_a_difference() -> None:
    found = pair(split(0.5), answered("v1")).differences([cell(SPLIT)])
    assert [one.aspects for one in found] == [{"workload": ("target-v2", "target-v1")}]


def test_a_known_difference_is_counted_and_not_given() -> None:
    asked = pair(answered("v1", server="istio"), answered("v1"), entries=(SERVER,))
    assert asked.differences([cell(ROUTE)]) == []
    assert asked.explained == {"server": 1}


def test_behind_a_known_difference_another_one_is_found() -> None:
    found = pair(answered("v1", server="istio"), answered("v2"), entries=(SERVER,)).differences(
        [cell(ROUTE)], draw=False
    )
    assert [one.aspects.keys() for one in found if one.kind == "answers"] == [{"workload"}]


def test_an_entry_whose_case_shows_nothing_is_stale() -> None:
    assert pair(answered("v1"), answered("v1"), entries=(SERVER,)).stale() == [SERVER]
    assert pair(answered("v1", server="istio"), answered("v1"), entries=(SERVER,)).stale() == []


def test_what_one_mesh_refuses_and_the_other_takes_is_a_difference() -> None:
    (found,) = pair(answered("v1"), answered("v1"), refuses="no such field").differences([cell(ROUTE)])
    assert (found.kind, found.aspects) == ("validation", {"validation": ("taken", "refused: no such field")})


@pytest.mark.parametrize(("other", "differed"), [("v2", 5), ("v1", 0)])
def test_a_difference_is_probed_again(other: str, differed: int) -> None:
    (found, _) = pair(answered("v1"), answered("v2")).differences([cell(ROUTE)])
    assert pair(answered("v1"), answered(other)).probe(found, 5) == differed


def test_of_what_the_oracle_has_no_opinion_the_answers_are_compared_all_the_same() -> None:
    asked = pair(answered("v1"), answered("v2"))
    (found,) = asked.differences([cell({"route": [{"destination": {"host": "target", "subset": "plain"}}]})])
    assert (found.kind, found.oracle, asked.opinions) == ("answers", "the oracle has no opinion", 0)
