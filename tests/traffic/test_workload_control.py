"""The workload's control port, asked as the harness asks it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest


@pytest.fixture(scope="module")
def workload():
    """Give (echo port, control port) of a workload that runs."""
    with socket.socket() as one, socket.socket() as two:
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
        echo, control = one.getsockname()[1], two.getsockname()[1]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest_mesh.workloads", str(echo)],
        env={**os.environ, "MESH_CONTROL_PORT": str(control)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()
        yield echo, control
        process.terminate()


def post(port: int, path: str, body: object) -> tuple[int, dict]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_a_probe_of_a_port_without_tls_ends_at_once_without_a_chain(workload):
    echo, control = workload

    status, answer = post(control, "/v1/probe", {"host": "127.0.0.1", "port": echo, "alpn": ["istio"], "timeout": 5})

    assert status == 200
    assert answer["chain"] == []
    assert not answer["admitted"]
    assert answer["failure"]
    assert answer["seconds"] < 4


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"host": "h"}, "port: is required"),
        ({"host": "h", "port": "80"}, "port: '80' is of the wrong type"),
        ({"host": "h", "port": 80, "sni": "x"}, "sni: not known here"),
        ({"host": "h", "port": 80, "private_key": "x"}, "one without the other"),
        ([], "a probe is a JSON object"),
    ],
)
def test_a_probe_that_is_none_is_refused_with_the_field(workload, body, said):
    status, answer = post(workload[1], "/v1/probe", body)

    assert status == 400
    assert said in answer["error"]


@pytest.mark.parametrize("body", [7, [], {"wire": 1, "requests": 7}])
def test_a_batch_that_is_none_is_refused_with_the_reason(workload, body):
    status, answer = post(workload[1], "/v1/batch", body)

    assert status == 400
    assert "Batch" in answer["error"] or "wire" in answer["error"]


def test_what_is_not_there_is_404_and_says_what_is(workload):
    status, answer = post(workload[1], "/v1/nothing", {})

    assert status == 404
    assert "POST /v1/batch, POST /v1/probe, POST /v1/secrets, POST /v1/soak[/ID], GET /healthz" in answer["error"]
