"""The embedded API server answers as a real kube-apiserver has answered, but for what is listed with a reason."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import catalogue
import comparing
from embedded import embedded
from sending import Sender

SAME_STATUS, SAME_ANSWER, LEAST = 0.98, 0.90, 400


@pytest.fixture(scope="module")
def total():
    return sum(len(answers) for answers in comparing.recorded().values())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    names, ours = {}, {}
    with embedded(tmp_path_factory.mktemp("api")) as (url, token):
        sender = Sender(url, token)
        for scene in catalogue.everything():
            key = f"{scene.family}/{scene.name}"
            asked = [request for request in scene.requests if request.method != "SETTLE"]
            names[key] = [f"{request.method} {request.path[:80]}" for request in asked]
            ours[key] = [json.loads(json.dumps(answer.to_json())) for answer in sender.run(scene)]
        sender.close()
    real = comparing.recorded()
    assert {key: len(value) for key, value in ours.items()} == {key: len(value) for key, value in real.items()}
    return list(comparing.differences(names, real, ours))


def test_every_difference_has_a_reason(found):
    known = comparing.reasons()
    bare = [one for one in found if comparing.reason_for(one, known) is None]
    shown = [f"{one.name} {one.request}\n  real {one.real}\n  ours {one.ours}"[:1500] for one in bare]
    assert not bare, "\n".join(shown)


def test_every_reason_is_needed(found):
    known = comparing.reasons()
    used = {id(comparing.reason_for(one, known)) for one in found}
    assert [reason.why for reason in known if id(reason) not in used] == []


def test_the_status_is_the_same_in_98_of_100_and_the_answer_in_90(found, total):
    assert total >= LEAST
    assert sum(not one.status for one in found) + total - len(found) >= SAME_STATUS * total
    assert total - len(found) >= SAME_ANSWER * total


def test_the_page_lists_what_differs(found, total, request):
    text = comparing.page(found, total, comparing.reasons())
    if request.config.getoption("--update-goldens"):
        comparing.PAGE.write_text(text)
    assert comparing.PAGE.read_text() == text, "run with --update-goldens and read what it writes"
