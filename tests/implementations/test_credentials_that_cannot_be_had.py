"""Credentials that cannot be had are the environment's fault, and no reason to stop renewing leases."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pytest_mesh.clusters.existing.heartbeat import Heartbeat
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube


def test_a_token_that_cannot_be_read_is_the_environments_fault():
    def no_token(*_, **__):
        raise FileNotFoundError("/run/token")

    configuration = SimpleNamespace(host="https://h:1", get_api_key_with_prefix=no_token)
    client = SimpleNamespace(configuration=configuration, rest_client=SimpleNamespace(pool_manager=None))

    with pytest.raises(Infrastructure, match=r"no credentials for .* https://h:1: FileNotFoundError: /run/token"):
        Kube(client).get("/api")


def test_leases_are_renewed_again_whatever_went_wrong_before():
    renewed, again = [], threading.Event()

    def renew(namespace):
        renewed.append(namespace)
        if len(renewed) > 1:
            again.set()
        raise ValueError("half an answer")

    heartbeat = Heartbeat(renew, seconds=0.01)
    heartbeat.add("mesh-a")

    assert again.wait(5)
    heartbeat.close()
