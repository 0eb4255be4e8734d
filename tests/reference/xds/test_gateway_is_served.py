"""An ingress Envoy as the control plane makes it: HTTP, HTTPS, redirects and TCP from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCENE = Path(__file__).with_name("gateway_scene.py")


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("scene")
    argv = ["unshare", "-mn", sys.executable, str(SCENE), str(directory)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=SCENE.parent)
    log = directory / "envoy.log"
    assert done.returncode == 0, f"{done.stderr[-3000:]}\n{log.read_text()[-2000:] if log.exists() else ''}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_virtual_services_of_a_host_are_merged_narrow_routes_first(facts: dict[str, Any]) -> None:
    assert facts["merged"] == ["v1", "v2"]  # B8


def test_a_host_without_routes_is_not_found(facts: dict[str, Any]) -> None:
    assert facts["unknown host"] == 404  # F12


def test_tls_ends_at_the_gateway(facts: dict[str, Any]) -> None:
    assert facts["https"] == [200, "v1"]  # S11


def test_plain_http_is_sent_to_https(facts: dict[str, Any]) -> None:
    assert facts["redirect"] == [301, "https://secure.example/p"]  # B9


def test_bytes_go_by_tcp_routes(facts: dict[str, Any]) -> None:
    assert facts["tcp"] == [200, "v2"]


def test_the_gateway_refused_nothing(facts: dict[str, Any]) -> None:
    assert facts["status"] == [["router", {}]]
