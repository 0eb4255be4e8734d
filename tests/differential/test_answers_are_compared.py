"""Two meshes' answers in one form: what differs between any two runs is left out, everything else is not."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from pytest_mesh.contracts import Echo, Observation
from pytest_mesh.differential.access_logs import entries
from pytest_mesh.differential.answers import Answer, answer_of, differing, refused
from pytest_mesh.differential.findings import Difference, contrast, projected
from pytest_mesh.strategies.cells import Cell, Sent

LINE = (
    '[2026-11-23T16:08:08.310Z] "GET /a HTTP/1.1" 503 NC cluster_not_found - "-" 0 0 0 - "-" "-" "run-7" "cell.test" "-" - '
    "- 10.96.0.1:80 10.244.0.9:4242 - -"
)
INBOUND = (
    '[2026-11-23T16:08:08.310Z] "GET /a HTTP/1.1" 200 - via_upstream - "-" 0 320 2 1 "-" "curl" "run-7" "cell.test" '
    '"10.244.0.5:8080" inbound|8080|| 127.0.0.6:1 10.244.0.5:8080 10.244.0.9:0 outbound_.80_._.x default'
)


def observed(namespace: str, pod: str = "target-v1-c8g64lrg9c-x7mnh", **changes: object) -> Observation:
    echo = Echo(
        version="v1",
        pod=pod,
        namespace=namespace,
        method="GET",
        path="/a",
        host=f"cell-0.{namespace}.test",
        headers=(("x-request-id", "abc"), ("X-A", "one")),
    )
    given = {"headers": (("date", "today"), ("server", "envoy")), **changes}
    return Observation(request=0, status=200, echo=echo, **given)  # type: ignore[arg-type]


def test_the_same_answer_in_two_namespaces_is_one() -> None:
    one = answer_of(observed("mesh-a"), namespace="mesh-a")
    other = answer_of(
        observed("mesh-b", pod="target-v1-h7d8f5c6b4-zzzzz", headers=(("date", "later"), ("server", "envoy"))),
        namespace="mesh-b",
    )
    assert one == other
    assert dict(one.aspects)["host"] == "cell-0.{namespace}.test"


@pytest.mark.parametrize(
    ("changes", "aspect"),
    [
        ({"headers": (("date", "x"), ("server", "istio-envoy"))}, "response header server"),
        ({"headers": (("date", "x"),)}, "response header server"),
        ({"pod": "target-v2-c8g64lrg9c-x7mnh"}, "workload"),
    ],
)
def test_a_difference_is_named_by_its_aspect(changes: dict[str, object], aspect: str) -> None:
    one = answer_of(observed("mesh-a"), namespace="mesh-a")
    other = answer_of(observed("mesh-b", **changes), namespace="mesh-b")  # type: ignore[arg-type]
    assert list(differing(one, other)) == [aspect]


def test_no_answer_is_its_failure() -> None:
    lost = Observation(request=0, failure="reset", detail="by peer")
    assert answer_of(lost, namespace="mesh-a").aspects == (("failure", "reset"), ("workload", "none"))


def test_the_access_log_tells_flag_cluster_route_and_arrivals() -> None:
    found = list(entries([LINE, "something else", INBOUND]))
    assert [(one.id, one.flags, one.details, one.inbound) for one in found] == [
        ("run-7", "NC", "cluster_not_found", False),
        ("run-7", "-", "via_upstream", True),
    ]
    answer = answer_of(observed("mesh-a"), namespace="mesh-a", client=found[:1], arrivals=["target-v1", "other-o1"])
    told = dict(answer.aspects)
    assert (told["flag"], told["cluster"], told["arrivals"]) == ("NC", "-", "other-o1,target-v1")


def test_a_refusal_differs_from_what_is_taken_and_not_from_another_refusal() -> None:
    taken = Answer(aspects=())
    assert differing(refused("no"), taken) == {"validation": ("refused: no", "taken")}
    assert differing(refused("no"), refused("never")) == {}


def answers(*texts: str) -> Counter[Answer]:
    return Counter(Answer(aspects=tuple(sorted(tuple(part.split("=")) for part in text.split(",")))) for text in texts)


def test_answers_that_only_one_has_are_paired_with_the_nearest() -> None:
    one = answers(*["server=istio,to=v1"] * 20, "server=istio,to=v2")
    other = answers(*["server=envoy,to=v1"] * 21)
    assert contrast(one, other) == {"server": ("istio", "envoy")}


def test_samples_of_the_same_answers_differ_in_their_shares() -> None:
    one, other = answers("status=200", "status=503", "status=503"), answers("status=200", "status=503")
    assert set(contrast(one, other)) == {"shares"}


def test_an_ignored_aspect_tells_no_answers_apart() -> None:
    counts = answers("server=istio,to=v1", "server=envoy,to=v1")
    assert projected(counts, {"server"}) == Counter({Answer(aspects=(("to", "v1"),)): 2})


def test_a_difference_is_told_with_both_values_the_document_and_the_probes() -> None:
    found = Difference(
        cell=Cell(http=({"directResponse": {"status": 418}},), requests=(Sent(),)),
        aspects={"status": ("418", "200")},
        oracle="allowed: 418",
        kind="answers",
        probes=(5, 5),
    )
    text = found.told(("reference", "istio"))
    assert "GET http://cell.test/ (every time, 5 of 5 more probes)" in text
    assert "    reference  418\n    istio      200\n" in text
    assert "directResponse" in text
    assert text.endswith("allowed: 418")
    assert replace(found, probes=(2, 5)).told(("a", "b")).startswith("GET http://cell.test/ (not every time, 2 of 5")
    assert found.to_json(("reference", "istio"))["aspects"] == {"status": {"reference": "418", "istio": "200"}}
