"""A status that the API server refuses does not keep a Pod from its end."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from pytest_mesh.clusters.local.apiclient import ApiError
from pytest_mesh.clusters.local.node import pod_workers
from pytest_mesh.clusters.local.node.pod_workers import PodWorker

POD = {
    "metadata": {"name": "one", "namespace": "shop", "uid": "u"},
    "spec": {"containers": [{"name": "a", "image": "i"}]},
}


def flushed(tmp_path, monkeypatch, *, answers, once):
    """Flush a status that is answered with these codes, then taken; give how often it was sent."""
    monkeypatch.setattr(pod_workers, "_RETRY_SECONDS", 0.0)
    codes, sent = list(answers), []

    async def patch(path, body):
        sent.append(path)
        if codes:
            raise ApiError(codes.pop(0), "Invalid", "no")

    async def scenario():
        parts = SimpleNamespace(client=SimpleNamespace(patch=patch), scratch=tmp_path, allocatable={})
        worker = PodWorker(POD, parts)
        worker.changed()
        await asyncio.wait_for(worker._flush(once=once), 5)
        return len(sent)

    return asyncio.run(scenario())


@pytest.mark.parametrize("code", [400, 403, 422])
def test_a_refused_status_ends_no_pods_end(tmp_path, monkeypatch, code):
    assert flushed(tmp_path, monkeypatch, answers=[code, code], once=True) == 1


def test_a_refused_status_of_a_pod_that_goes_on_is_sent_again(tmp_path, monkeypatch):
    assert flushed(tmp_path, monkeypatch, answers=[422], once=False) == 2


def test_a_status_for_a_pod_that_is_gone_is_dropped(tmp_path, monkeypatch):
    assert flushed(tmp_path, monkeypatch, answers=[404], once=False) == 1
