"""exec, logs and port-forward through the official Python client."""

import contextlib
import json
import socket

import pytest
from cluster_scene import SLEEP, python, shell
from kubernetes.stream.ws_client import ERROR_CHANNEL

ECHO = """
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello\\n")
        while line := self.rfile.readline():
            self.wfile.write(line.upper())
        self.wfile.write(b"end")
socketserver.ThreadingTCPServer(("127.0.0.1", 9000), Handler).serve_forever()
"""


@pytest.fixture
def core(scene):
    return scene.core


def test_exec_gives_output_errors_and_the_exit_code(scene, space):
    space.running("runs", shell(SLEEP))

    out, errors, code = scene.execute(space.name, "runs", ["/bin/sh", "-c", "echo out; echo err >&2; exit 5"])

    assert (out, errors, code) == ("out\n", "err\n", 5)


def test_exec_runs_with_the_containers_user_files_and_address(scene, space):
    pod = space.running("runs", shell("echo inside >/tmp/mark; " + SLEEP, securityContext={"runAsUser": 1337}))

    out, _, code = scene.execute(space.name, "runs", ["/bin/sh", "-c", "id -u; cat /tmp/mark; hostname -I; hostname"])

    assert (out, code) == (f"1337\ninside\n{pod['status']['podIP']} \nruns\n", 0)


def test_exec_carries_input_both_ways(scene, space):
    space.running("talks", shell(SLEEP))
    command = ["/bin/sh", "-c", "read line; echo got $line"]

    with scene.executing(space.name, "talks", command, stdin=True) as connection:
        connection.write_stdin("a line\n")
        connection.run_forever(timeout=5)

        assert connection.read_stdout() == "got a line\n"
        assert connection.returncode == 0


def test_a_command_that_does_not_exist_says_so(scene, space):
    space.running("runs", shell(SLEEP))

    with scene.executing(space.name, "runs", ["/no/such/program"]) as connection:
        connection.run_forever(timeout=10)
        status = json.loads(connection.read_channel(ERROR_CHANNEL))

    assert status["reason"] == "InternalError"
    assert 'exec: "/no/such/program": no such file or directory' in status["message"]


def test_logs_are_read_and_followed_to_the_end(core, space):
    space.finished("speaks", shell("for n in 1 2 3; do echo line $n; done"))

    assert core.read_namespaced_pod_log("speaks", space.name) == "line 1\nline 2\nline 3\n"
    assert core.read_namespaced_pod_log("speaks", space.name, tail_lines=1) == "line 3\n"
    assert core.read_namespaced_pod_log("speaks", space.name, follow=True).endswith("line 3\n")


def test_port_forward_reaches_the_pods_loopback_and_half_closes(core, space):
    from kubernetes.stream import portforward

    probe = {"exec": {"command": ["/bin/sh", "-c", "grep -q :2328 /proc/net/tcp"]}, "periodSeconds": 1}
    space.running("listens", python(ECHO, readinessProbe=probe))
    forward = portforward(core.connect_get_namespaced_pod_portforward, "listens", space.name, ports="9000")
    with contextlib.closing(forward.socket(9000)) as connection:
        connection.settimeout(5)
        assert connection.recv(64) == b"hello\n"
        connection.sendall(b"shout\n")
        assert connection.recv(64) == b"SHOUT\n"
        connection.shutdown(socket.SHUT_WR)


def test_port_forward_to_a_closed_port_says_so(core, space):
    from kubernetes.stream import portforward

    space.running("silent", shell(SLEEP))
    forward = portforward(core.connect_get_namespaced_pod_portforward, "silent", space.name, ports="9999")
    with contextlib.closing(forward.socket(9999)) as connection:
        connection.settimeout(5)
        assert connection.recv(64) == b""

    assert "9999" in forward.error(9999)


def test_the_official_client_lists_watches_and_deletes(core, space):
    from kubernetes import watch

    space.running("seen", shell(SLEEP))
    assert [pod.metadata.name for pod in core.list_namespaced_pod(space.name).items] == ["seen"]
    core.delete_namespaced_pod("seen", space.name, grace_period_seconds=0)

    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_pod, space.name, timeout_seconds=5, resource_version="1"):
        if event["type"] == "DELETED":
            watcher.stop()

    assert core.list_namespaced_pod(space.name).items == []
