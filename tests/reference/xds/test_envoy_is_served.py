"""The control plane and a real Envoy behind real redirection, over both forms of ADS: what traffic shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCENE = Path(__file__).with_name("envoy_scene.py")


@pytest.fixture(scope="module", params=["GRPC", "DELTA_GRPC"])
def facts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("scene")
    argv = ["unshare", "-mn", sys.executable, str(SCENE), request.param, str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=SCENE.parent)
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{(directory / 'envoy.log').read_text()[-2000:]}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_without_a_virtual_service_every_endpoint_answers(facts: dict[str, Any]) -> None:
    assert facts["default"] == ["v1", "v2"]


def test_a_header_chooses_the_subset_and_other_values_do_not(facts: dict[str, Any]) -> None:
    assert facts["header"] == ["v2", "v1", "v1"]  # M7, D1


def test_weights_divide_the_requests(facts: dict[str, Any]) -> None:
    # W1: 400 draws at 20 % lie outside 40..125 less than once in a million runs.
    assert 40 <= facts["v2 of 400 at 20 percent"] <= 125
    assert facts["split names"] == ["v1", "v2"]


def test_a_virtual_service_is_in_force_within_half_a_second(facts: dict[str, Any]) -> None:
    assert facts["seconds to take a VirtualService"] < 0.5


def test_a_change_of_endpoints_reaches_envoy_by_eds_alone(facts: dict[str, Any]) -> None:
    assert facts["pushed for endpoints"] == ["eds"]


def test_new_subsets_and_their_routes_break_no_request(facts: dict[str, Any]) -> None:
    assert list(facts["statuses under change"]) == ["200"]
    assert facts["statuses under change"]["200"] > 30


def test_a_changed_cluster_comes_back_with_its_endpoints(facts: dict[str, Any]) -> None:
    assert facts["after a changed cluster"] == [200, "v2"]


def test_an_unknown_subset_is_503_and_no_match_404(facts: dict[str, Any]) -> None:
    assert facts["unknown subset"] == 503  # F1
    assert facts["no match"] == 404  # F4


def test_a_refusal_is_shown_once_with_envoys_words_and_the_old_routes_stay(facts: dict[str, Any]) -> None:
    assert "program size" in facts["rejection"]
    assert facts["rejects"] == 1
    assert facts["kept"] == 418


def test_what_was_deleted_is_gone_from_envoy(facts: dict[str, Any]) -> None:
    assert facts["dump names"] == [
        "BlackHoleCluster",
        "InboundPassthroughCluster",
        "PassthroughCluster",
        "outbound|80||reviews.shop.svc.cluster.local",
    ]


def test_the_stop_is_graceful_and_quick(facts: dict[str, Any]) -> None:
    assert facts["seconds to stop"] < 3
