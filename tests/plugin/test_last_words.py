"""A workload that falls silent is infrastructure, with its last words, and never a route's failure."""

from __future__ import annotations

import pytest

from pytest_mesh import last_words as words
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import KubeError
from pytest_mesh.last_words import Workloads, last_words
from pytest_mesh.readiness import Expected

STAND_INS = [Expected(labels={"app": "reviews"})]


def pod(name="reviews-v1-x", *, restarts=0, code=None, leaving=False, app="reviews"):
    ended = {"terminated": {"exitCode": code, "reason": "OOMKilled"}} if code is not None else {}
    return {
        "metadata": {"name": name, "labels": {"app": app}, **({"deletionTimestamp": "now"} if leaving else {})},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": "istio-proxy", "restartCount": 3},
                {"name": "workload", "restartCount": restarts, "ready": code is None, "lastState": ended},
            ],
        },
    }


def check_workloads(cluster, namespace, asked, answer, *, began=1_700_000_000.0):
    Workloads(cluster, namespace).check(asked, answer, began=began)


class Cluster:
    def __init__(self, *pods, log="one\ntwo"):
        self._pods = {one["metadata"]["name"]: one for one in pods}
        self._log = log
        self.previous = None
        self.voice = None

    def list(self, _):
        return list(self._pods.values())

    def proxy(self, *_, **__):
        if self.voice:
            raise self.voice
        return {}

    def find(self, path):
        return self._pods.get(path.rpartition("/")[2])

    def logs(self, *_, previous, **__):
        self.previous = previous
        return self._log


@pytest.mark.parametrize(
    "answer",
    [
        {"counts": {}, "failures": {"status 503": 1}},
        {"counts": {"200": 7, "503": 1}, "failures": {}},
        {"observations": [{"status": 503}]},
        {"observations": [{"failure": "reset"}]},
    ],
)
def test_a_workload_that_died_is_blamed_for_what_it_did_not_answer(answer):
    cluster = Cluster(pod(restarts=1, code=137))
    with pytest.raises(
        Infrastructure, match=r"reviews-v1-x died: .*ended with code 137 \(OOMKilled\); its last words:\n  one\n  two"
    ):
        check_workloads(cluster, "shop", STAND_INS, answer)
    assert cluster.previous is True


@pytest.mark.parametrize(
    ("one", "answer"),
    [
        (pod(), {"observations": [{"status": 503}]}),
        (pod(restarts=1, code=1), {"counts": {"v1": 1}, "failures": {}}),
        (pod(restarts=1, code=1), {"observations": [{"status": 404}]}),
        (pod(restarts=1, code=1, leaving=True), {"observations": [{"status": 503}]}),
        (pod(restarts=1, code=1, app="other"), {"observations": [{"status": 503}]}),
    ],
)
def test_routes_are_judged_where_nobody_who_was_asked_died(one, answer):
    check_workloads(Cluster(one), "shop", STAND_INS, answer)


def test_a_restart_before_the_batch_is_not_to_blame():
    old = pod(restarts=1, code=1)
    old["status"]["containerStatuses"][1]["lastState"]["terminated"]["finishedAt"] = "2020-01-01T00:00:00Z"
    check_workloads(Cluster(old), "shop", STAND_INS, {"observations": [{"status": 503}]})


def test_a_death_is_told_of_the_batch_that_met_it_and_of_no_later_one():
    workloads, answer = Workloads(Cluster(pod(restarts=1, code=1)), "shop"), {"observations": [{"status": 503}]}
    with pytest.raises(Infrastructure, match="died"):
        workloads.check(STAND_INS, answer, began=0.0)
    workloads.check(STAND_INS, answer, began=0.0)


TIMED_OUT = [
    {"observations": [{"failure": "timeout"}]},
    {"observations": [{"status": 504}]},
    {"counts": {"v1": 3}, "failures": {"timeout": 1}},
    {"counts": {"200": 3, "504": 1}, "failures": {}},
]


@pytest.mark.parametrize("answer", TIMED_OUT)
def test_a_workload_that_hangs_is_blamed_for_what_timed_out(monkeypatch, answer):
    monkeypatch.setattr(words, "_LATE_SECONDS", 0)
    running = pod()
    running["status"]["containerStatuses"][1]["state"] = {"running": {}}
    cluster = Cluster(running)
    cluster.voice = Infrastructure("read timed out")
    with pytest.raises(Infrastructure, match=r"reviews-v1-x hangs: its control port says nothing within 3 s"):
        check_workloads(cluster, "shop", STAND_INS, answer)
    cluster.voice = KubeError(503, "", "a proxy refuses", "")
    check_workloads(cluster, "shop", STAND_INS, answer)


def test_a_death_that_is_told_late_is_waited_for_where_a_server_hung_up(monkeypatch):
    late = Cluster(pod())
    monkeypatch.setattr(words.time, "sleep", lambda _: late._pods.update({"reviews-v1-x": pod(restarts=1, code=0)}))
    hung_up = {"observations": [{"status": 503, "body": "... reset reason: connection termination"}]}
    with pytest.raises(Infrastructure, match=r"reviews-v1-x died"):
        check_workloads(late, "shop", STAND_INS, hung_up)


def test_nobody_waits_where_no_server_hung_up(monkeypatch):
    monkeypatch.setattr(words.time, "sleep", lambda _: pytest.fail("waited"))
    check_workloads(
        Cluster(pod()), "shop", STAND_INS, {"observations": [{"status": 503, "body": "no healthy upstream"}]}
    )


def test_a_pod_that_is_gone_and_one_that_is_silent_are_told():
    assert last_words(Cluster(), "shop", "x") == "the pod is gone"
    assert last_words(Cluster(pod(), log=""), "shop", "reviews-v1-x") == "the pod is Running; its last words: none"
