"""The real agent with the real Envoy in namespaces of their own: start, rotation under traffic, probes, recovery, end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCENE = Path(__file__).parent / "agent_scene.py"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    directory = tmp_path_factory.mktemp("agent")
    done = subprocess.run(
        ["unshare", "-mn", sys.executable, str(SCENE), str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    log = directory / "agent.log"
    said = log.read_text() if log.exists() else ""
    assert done.returncode == 0, f"{done.stderr}\n{said}"
    return json.loads(done.stdout.splitlines()[-1]) | {"log": said}


def test_it_is_not_ready_before_it_is(scene):
    assert scene["early"] == 503


def test_it_is_ready_soon_and_cheaply(scene):
    # Wall time swings with the machine's neighbours; CPU time is the promise.
    assert scene["agent_cpu_seconds"] <= 0.7
    assert scene["ready_seconds"] < 10


def test_the_certificate_rotates_under_traffic_without_one_failure(scene):
    rotation = scene["rotation"]
    assert rotation["serials"] >= 4
    assert rotation["calls"] > 20
    assert rotation["failures"] == []


def test_envoy_shows_the_workloads_identity(scene):
    assert scene["rotation"]["uris"] == ["spiffe://cluster.local/ns/shop/sa/reviews"]


def test_a_client_without_certificate_is_refused(scene):
    assert scene["without certificate"] in {"SSLError", "SSLEOFError", "ConnectionResetError"}


def test_moved_probes_reach_the_application_from_the_uncaptured_address(scene):  # IM12
    assert scene["probes"] == {
        "/app-health/app/readyz": 200,
        "/app-health/app/livez": 200,
        "/app-health/app/startupz": 500,
        "/app-health/app/other": 404,
    }
    assert ["127.0.0.6", "/ready?full"] in scene["asked"]


def test_metrics_of_envoy_and_application_are_joined(scene):  # IM12
    assert scene["metrics"] == [True, True]
    assert scene["envoy metrics"] == 200


def test_quitting_takes_a_post(scene):
    assert scene["quit by GET"] == 405


def test_wait_and_request_speak_to_this_pod(scene):
    assert scene["wait"] == 0
    assert scene["request"] == "sidecar~127.0.0.1~reviews-1.shop~shop.svc.cluster.local"
    assert scene["drain"] == 0


def test_the_sockets_are_for_this_pods_proxy_alone(scene):
    assert scene["sockets"] == ["0o600", "0o600"]


def test_a_dead_envoy_is_replaced(scene):
    assert scene["after Envoy's death"] == []
    assert "Envoy ended with code -9" in scene["log"]


def test_sigterm_ends_agent_and_envoy(scene):
    assert scene["exit"] == 0
    assert scene["exit_seconds"] < 5
    assert "PRIVATE KEY" not in scene["log"]
