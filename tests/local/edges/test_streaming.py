"""Logs, exec and attach: with kubectl, the official client and bare protocols."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from asking import POD, TRANSPORTS, connect, get, kubectl, run

# ---------------------------------------------------------------- logs


def test_logs_are_the_kubelets(api):
    api.pod()
    assert get(api, f"{POD}/log?tailLines=2&timestamps=true")[2] == b"one\ntwo\n"
    assert api.kubelet.seen == [("/containerLogs/shop/web-1/app", {"tailLines": "2", "timestamps": "true"})]


@kubectl
def test_kubectl_follows_logs_to_their_end(api):
    api.pod()
    done = run(api, "logs", "-f", "web-1")
    assert (done.returncode, done.stdout) == (0, b"first\nsecond\n"), done.stderr


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("?container=db", 400, b"container db is not valid for pod web-1"),
        ("", 400, b"a container name must be specified for pod web-1, choose one of: [app proxy]"),
        ("?container=app&tailLines=-1", 422, b"must be greater than or equal to 0"),
        ("?container=app&sinceSeconds=0", 422, b"must be greater than 0"),
        ("?container=app&tailLines=x", 400, b"invalid syntax"),
        ("?container=app&sinceSeconds=1&sinceTime=2024-01-01T00:00:00Z", 422, b"at most one of"),
    ],
)
def test_logs_of_no_container_or_by_bad_options_are_refused(api, query, code, words):
    api.pod(containers=("app", "proxy"))
    status, _, body = get(api, f"{POD}/log{query}")
    assert status == code
    assert words in body


def test_logs_of_a_missing_pod_are_not_found(api):
    assert get(api, f"{POD}/log")[0] == 404


def test_logs_of_a_pod_without_a_node_are_empty(api):
    api.pod(node="")
    assert get(api, f"{POD}/log")[2] == b""


# ---------------------------------------------------------------- exec and attach


@kubectl
@TRANSPORTS
def test_kubectl_exec_passes_input_output_errors_and_exit_code(api, env):
    api.pod()
    script = "tr a-z A-Z; echo wrong >&2; exit 3"
    done = run(api, "exec", "-i", "web-1", "--", "sh", "-c", script, stdin=b"hello\n", env=env)
    assert (done.returncode, done.stdout) == (3, b"HELLO\n"), done.stderr
    assert b"wrong" in done.stderr


@kubectl
@TRANSPORTS
def test_kubectl_exec_carries_a_megabyte_each_way(api, env):
    api.pod()
    big = os.urandom(1 << 20)
    done = run(api, "exec", "-i", "web-1", "--", "cat", stdin=big, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout == big


@kubectl
@TRANSPORTS
def test_kubectl_attach_reads_the_running_container(api, env):
    api.pod()
    done = run(api, "attach", "-i", "web-1", stdin=b"hi\n", env=env)
    assert done.stdout == b"hi\n", done.stderr


@kubectl
@TRANSPORTS
def test_kubectl_exec_shows_why_the_kubelet_refused(api, env):
    api.pod()
    done = run(api, "exec", "web-1", "--", "refused", env=env)
    assert done.returncode == 1
    assert b'container not found ("app")' in done.stderr


@kubectl
@TRANSPORTS
def test_a_kubelet_that_breaks_off_is_a_failure_and_no_success(api, env):
    api.pod()
    done = run(api, "exec", "web-1", "--", "vanish", env=env)
    assert done.returncode == 1
    assert b"the kubelet ended the stream without a status" in done.stderr


def test_exec_ends_below_when_the_client_goes(api):
    api.pod()

    connect(api, f"{POD}/exec?command=sleep&command=60&stdout=1", "v5.channel.k8s.io").close()
    # The fixture's end fails if a handler is still running; the fake kubelet kills the command.


@pytest.mark.parametrize(
    ("query", "words"),
    [("command=x", b"at least 1 of stdin, stdout, stderr"), ("stdout=1", b"must specify a command")],
)
def test_exec_without_a_stream_or_a_command_is_refused(api, query, words):
    api.pod()
    status, _, body = get(api, f"{POD}/exec?{query}")
    assert status == 400
    assert words in body


def test_exec_without_an_upgrade_is_refused(api):
    api.pod()
    status, _, body = get(api, f"{POD}/exec?command=x&stdout=1")
    assert (status, b"Upgrade request required" in body) == (400, True)


def test_exec_by_a_protocol_without_exit_codes_is_refused(api):
    api.pod()
    host, port = api.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(api.ca))
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
    offered = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "channel.k8s.io"}
    headers = {"Authorization": f"Bearer {api.token}", **offered}
    connection.request("POST", f"{POD}/exec?command=x&stdout=1", headers=headers)
    with connection.getresponse() as answer:
        assert answer.status == 400
        assert b"unable to negotiate protocol" in answer.read()
    connection.close()


def test_the_official_client_runs_a_command(api, core, stream):
    api.pod()
    script = "read line; echo got $line; echo wrong >&2; exit 4"
    ws = stream.stream(
        core.connect_get_namespaced_pod_exec,
        "web-1",
        "shop",
        command=["sh", "-c", script],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    ws.write_stdin("something\n")
    ws.run_forever(timeout=10)
    assert (ws.read_stdout(), ws.read_stderr()) == ("got something\n", "wrong\n")
    assert ws.returncode == 4
    ws.sock.close()  # its own close() does nothing once the server has closed


def test_base64_channels_carry_the_same(api):
    api.pod()

    ws = connect(api, f"{POD}/exec?command=echo&command=hi&stdout=1", "v4.base64.channel.k8s.io")
    assert ws.recv() == "1aGkK"
    assert ws.recv().startswith("3")
    ws.close()
