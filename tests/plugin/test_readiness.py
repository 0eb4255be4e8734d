"""Which pods are waited for: a selector is read whole, and a DaemonSet says itself how many it wants."""

from __future__ import annotations

import pytest

from pytest_mesh.failures import WorkloadFailure
from pytest_mesh.readiness import Expected, expected_of, wait_ready


def pod(name="one", **labels):
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "readinessProbe": {}}]},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def workload(kind, selector, **spec):
    return {"kind": kind, "metadata": {"name": "agent"}, "spec": {"selector": selector, **spec}}


@pytest.mark.parametrize(
    ("expression", "takes"),
    [
        ({"key": "app", "operator": "In", "values": ["a", "b"]}, {"app": "a"}),
        ({"key": "app", "operator": "NotIn", "values": ["b"]}, {}),
        ({"key": "app", "operator": "Exists"}, {"app": "b"}),
        ({"key": "app", "operator": "DoesNotExist"}, {"tier": "x"}),
    ],
)
def test_expressions_of_a_selector_count(expression, takes):
    expected = expected_of(workload("Deployment", {"matchExpressions": [expression]}))
    leaves = {"app": "b"} if expression["operator"] in {"NotIn", "DoesNotExist"} else {"other": "a"}

    assert expected.matches(pod(**takes))
    assert not expected.matches(pod(**leaves))


def test_labels_and_expressions_must_both_hold():
    selector = {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "canary", "operator": "DoesNotExist"}]}
    expected = expected_of(workload("StatefulSet", selector, replicas=2))

    assert [expected.matches(pod(**one)) for one in ({"app": "a"}, {"app": "a", "canary": "1"}, {})] == [
        True,
        False,
        False,
    ]
    assert str(expected) == "2 x app=a,canary DoesNotExist"


def test_kinds_that_make_no_pods_are_not_waited_for():
    assert expected_of({"kind": "Service", "metadata": {"name": "a"}, "spec": {"selector": {"app": "a"}}}) is None


class Cluster:
    """A namespace with some pods and one DaemonSet, which its controller counts after some looks."""

    def __init__(self, *pods, wants, counted_after=0):
        self._pods = pods
        self._wants = wants
        self._looks = counted_after

    def get(self, path):
        if not path.endswith("/daemonsets/agent"):
            return {"items": list(self._pods), "metadata": {"resourceVersion": "1"}}
        self._looks -= 1
        status = {"observedGeneration": 3, "desiredNumberScheduled": self._wants} if self._looks < 0 else {}
        return {"metadata": {"generation": 3}, "status": status}

    def watch(self, *_, **__):
        return iter(())

    def list(self, _):
        return []


def ready_of(cluster, seconds):
    expected = expected_of(workload("DaemonSet", {"matchLabels": {"app": "a"}}))
    return [one["metadata"]["name"] for one in wait_ready(cluster, "shop", [expected], seconds=seconds)]


def test_a_daemon_set_is_ready_with_as_many_pods_as_it_wants():
    pods = [pod("one", app="a"), pod("two", app="a")]

    assert ready_of(Cluster(*pods, wants=2, counted_after=3), 5) == ["one", "two"]
    with pytest.raises(WorkloadFailure, match=r"not Ready within 0 s: 3 x app=a"):
        ready_of(Cluster(*pods, wants=3), 0)


def test_a_daemon_set_that_nobody_counts_is_not_ready():
    with pytest.raises(WorkloadFailure, match=r"not Ready within 0 s: agent x app=a"):
        ready_of(Cluster(pod(app="a"), wants=1, counted_after=9), 0)


def test_a_selector_of_another_operator_is_refused():
    with pytest.raises(ValueError, match="app: no operator 'Gt' is known"):
        Expected(labels={}, expressions=({"key": "app", "operator": "Gt"},)).matches(pod())
