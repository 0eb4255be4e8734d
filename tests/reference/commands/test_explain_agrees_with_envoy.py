"""``refmesh explain`` beside real Envoys, a few requests of each kind (2,000: ``make explain-agreement``), and the judge itself."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_reference.commands.explanation import Answer, Copied, Delay, Explanation, Step

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def scene() -> Any:
    sys.path[:0] = [str(HERE), str(HERE.parent / "xds")]
    try:
        import agreement_scene

        yield agreement_scene
    finally:
        del sys.path[:2]


@pytest.fixture(scope="module")
def agreement() -> Any:
    sys.path.insert(0, str(HERE))
    try:
        import agreement

        yield agreement
    finally:
        del sys.path[0]


def test_sixty_requests_get_what_explain_says(agreement: Any, tmp_path: Path) -> None:
    found = agreement.facts(tmp_path, 60, 5)
    assert found["differences"] == [], agreement.told(found)
    assert found["requests"] == 60
    assert found["rejections"] == []


TOLD = Explanation(
    steps=(Step(name="route", text="r: prefix /, of VirtualService shop/reviews http[1].match[0]"),),
    outcome="forwarded",
    answers=(
        Answer(
            cluster="outbound|80|v1|target.shop.svc.cluster.local", host="h", path="/p", request_headers={"x-a": "1", "x-b": None},
            response_headers={"x-r": "2"},
        ),
    ),
)  # fmt: skip
SEEN: dict[str, Any] = {
    "status": 200,
    "headers": {"x-r": "2", "x-block": "reviews/1"},
    "seconds": 0.01,
    "got": {"name": "v1", "path": "/p", "headers": [["host", "h"], ["x-a", "1"]]},
}


def judged(
    scene: Any, told: Explanation = TOLD, seen: dict[str, Any] | None = None, hits: tuple[str, ...] = ("v1",)
) -> list[str]:
    found: list[str] = scene.differences(told, seen or SEEN, ["v1", "v2"], list(hits))
    return found


def test_the_judge_finds_no_difference_where_none_is(scene: Any) -> None:
    assert judged(scene) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"cluster": "outbound|80|v2|target.shop.svc.cluster.local"},
        {"cluster": "PassthroughCluster"},
        {"host": "other"},
        {"path": "/q"},
        {"request_headers": {"x-a": None}},
        {"request_headers": {"x-b": "1"}},
        {"response_headers": {"x-r": "3"}},
        {"status": 404, "flag": "NR"},
    ],
)
def test_the_judge_finds_a_wrong_answer(scene: Any, changed: dict[str, Any]) -> None:
    assert judged(scene, replace(TOLD, answers=(replace(TOLD.answers[0], **changed),)))


def test_the_judge_finds_a_wrong_line_delay_or_copy(scene: Any) -> None:
    elsewhere = Step(name="route", text="r: prefix /, of VirtualService shop/reviews http[0]")
    assert judged(scene, replace(TOLD, steps=(elsewhere,)))
    assert judged(scene, replace(TOLD, delay=Delay(seconds=0.5, share=1)))
    assert judged(scene, replace(TOLD, copies=(Copied(cluster="x", share=1),)))
    assert judged(scene, hits=("v1", "o1"))


def test_the_judge_finds_a_wrong_redirect_and_a_wrong_split(scene: Any) -> None:
    moved = {"status": 301, "headers": {"location": "http://a/"}, "seconds": 0.0, "got": None}
    told = replace(TOLD, steps=(), answers=(Answer(status=301, location="http://b/"),))
    assert judged(scene, told, moved)
    halves = replace(
        TOLD, answers=tuple(Answer(share=0.5, cluster=f"outbound|80|{name}|target.shop") for name in ("v1", "v2"))
    )
    fair = [{**SEEN, "got": {"name": name}} for name in ("v1", "v2")] * 10
    assert scene.lopsided([halves] * 4, dict.fromkeys(range(4), fair)) == []
    assert scene.lopsided([halves] * 4, {number: [SEEN] * 20 for number in range(4)})
