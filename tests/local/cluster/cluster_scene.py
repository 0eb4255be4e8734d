"""What the tests say to a real cluster: raw JSON over HTTPS, waiting by watches, and the official client's streams."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import select
import sys
import time
from dataclasses import dataclass, field

import requests
import yaml

from pytest_mesh.contracts import Image
from pytest_mesh.implementations.running import interpreter_paths

SHELL = "tests/shell"
"""The host's root with nothing of its own: a container names its command."""
PYTHON = "tests/python"
WORKLOAD = "pytest-mesh/workload"

IMAGES = {
    SHELL: Image(),
    PYTHON: Image(entrypoint=(sys.executable,), readable=interpreter_paths()),
    WORKLOAD: Image(entrypoint=(sys.executable, "-m", "pytest_mesh.workloads"), readable=interpreter_paths()),
}

SLEEP = "trap 'exit 0' TERM; while :; do sleep 60 & wait $!; done"
"""Runs until it is told to end, and then ends at once."""


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status):
        super().__init__(status.get("message"))
        self.status = status
        self.code = status.get("code")


@dataclass
class Scene:
    """One cluster as its tests see it. Objects are dicts; paths are the API's."""

    cluster: object
    session: requests.Session = field(default_factory=requests.Session)
    connection: object = None

    def __post_init__(self):
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        self.token = config["users"][0]["user"]["token"]
        self.session.headers["Authorization"] = f"Bearer {self.token}"
        self.session.trust_env = False
        self.session.verify = str(self.cluster.directory / "ca.crt")

    def call(self, method, path, body=None, content_type="application/json", **params):
        data = None if body is None else json.dumps(body)
        answer = self.session.request(
            method,
            self.cluster.server + path,
            data=data,
            params=params,
            headers={"Content-Type": content_type},
            timeout=20,
        )
        if answer.status_code >= 400:
            raise RefusedError(answer.json())
        return answer.json()

    def get(self, path, **params):
        return self.call("GET", path, **params)

    def text(self, path, **params):
        answer = self.session.get(self.cluster.server + path, params=params, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.text

    def until(self, path, condition, seconds=60.0, what="the condition"):
        """Watch one object until ``condition(object)``; give it. ``None`` stands for a deleted one."""
        collection, _, name = path.rpartition("/")
        deadline = time.monotonic() + seconds
        last = None
        params = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": int(seconds) + 1}
        with self.session.get(
            self.cluster.server + collection, params=params, stream=True, timeout=seconds + 5
        ) as answer:
            assert answer.status_code == 200, answer.text
            for line in answer.iter_lines(chunk_size=None):
                event = json.loads(line)
                last = None if event["type"] == "DELETED" else event["object"]
                if condition(last):
                    return last
                if time.monotonic() > deadline:
                    break
        raise AssertionError(f"{what} of {path} did not come within {seconds} s: {json.dumps(last, indent=1)}")

    @property
    def core(self):
        """The official client; made at the first use, for its import takes a second."""
        from kubernetes import client, config

        if self.connection is None:
            self.connection = config.new_client_from_config(str(self.cluster.kubeconfig))
        return client.CoreV1Api(copy.copy(self.connection))

    def close(self):
        self.session.close()
        if self.connection is not None:
            self.connection.close()

    @contextlib.contextmanager
    def executing(self, namespace, pod, command, **fields):
        """Run a command by the official client; give the open connection."""
        from kubernetes.stream import stream

        fields = {"stdin": False, "stdout": True, "stderr": True, "tty": False, **fields}
        connection = stream(
            self.core.connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=command,
            _preload_content=False,
            **fields,
        )
        try:
            yield connection
        finally:
            connection.close()
            # The library leaves the socket open when the server was the first to say good-bye.
            connection.sock.shutdown()

    def execute(self, namespace, pod, command, **fields):
        """Run a command by the official client; give (output, errors, exit code)."""
        with self.executing(namespace, pod, command, **fields) as connection:
            connection.run_forever(timeout=10)
            return connection.read_stdout(timeout=0), connection.read_stderr(timeout=0), connection.returncode

    def until_gone(self, path, seconds=60.0):
        try:
            version = self.get(path)["metadata"]["resourceVersion"]
        except RefusedError as error:
            if error.code == 404:
                return
            raise
        collection, _, name = path.rpartition("/")
        params = {"watch": "true", "fieldSelector": f"metadata.name={name}", "resourceVersion": version}
        params["timeoutSeconds"] = int(seconds) + 1
        with self.session.get(
            self.cluster.server + collection, params=params, stream=True, timeout=seconds + 5
        ) as answer:
            for line in answer.iter_lines(chunk_size=None):
                if json.loads(line)["type"] == "DELETED":
                    return
        raise AssertionError(f"{path} is there after {seconds} s")


@dataclass
class Space:
    """A namespace of one test's own."""

    scene: Scene
    name: str

    def path(self, plural, name="", prefix="/api/v1"):
        return f"{prefix}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def create(self, plural, obj, prefix="/api/v1"):
        return self.scene.call("POST", self.path(plural, prefix=prefix), obj)

    def pod(self, name, *containers, **spec):
        """Create a Pod; give its path."""
        labels = spec.pop("labels", {})
        annotations = spec.pop("annotations", {})
        spec = {"terminationGracePeriodSeconds": 1, **spec, "containers": list(containers)}
        metadata = {"name": name, "labels": labels, "annotations": annotations}
        self.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return self.path("pods", name)

    def running(self, name, *containers, seconds=60.0, **spec):
        """Create a Pod; give it once it is Ready."""
        return self.scene.until(self.pod(name, *containers, **spec), is_ready, seconds, "readiness")

    def finished(self, name, *containers, seconds=60.0, **spec):
        """Create a Pod that ends; give it then."""
        path = self.pod(name, *containers, **{"restartPolicy": "Never", **spec})
        return self.scene.until(path, is_over, seconds, "the end")

    def log(self, pod, **params):
        return self.scene.text(self.path("pods", pod) + "/log", **params)

    def event(self, pod, reason, seconds=60.0):
        """Give the Pod's first event with that reason, once there is one."""
        deadline = time.monotonic() + seconds
        params = {"watch": "true", "timeoutSeconds": int(seconds) + 1, "fieldSelector": f"involvedObject.name={pod}"}
        url = self.scene.cluster.server + self.path("events")
        seen = []
        with self.scene.session.get(url, params=params, stream=True, timeout=seconds + 5) as answer:
            for line in answer.iter_lines(chunk_size=None):
                event = json.loads(line)["object"]
                seen.append(f"{event.get('reason')}: {event.get('message')}")
                if event.get("reason") == reason:
                    return event
                if time.monotonic() > deadline:
                    break
        raise AssertionError(f"pod {pod} has no event {reason}; it has {seen}")


def shell(script, name="app", **fields):
    return {"name": name, "image": SHELL, "command": ["/bin/sh", "-c", script], **fields}


def python(script, name="app", **fields):
    return {"name": name, "image": PYTHON, "args": ["-c", script], **fields}


def is_ready(pod):
    return pod is not None and any(
        each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or ()
    )


def is_over(pod):
    return pod is not None and pod["status"].get("phase") in {"Succeeded", "Failed"}


def states(pod, kind="containerStatuses"):
    return {each["name"]: each for each in pod["status"].get(kind) or ()}


def ended(pids, seconds):
    """Wait so many seconds for these processes to end; give those that did not."""
    deadline = time.monotonic() + seconds
    left = []
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([fd], [], [], max(0.0, deadline - time.monotonic()))[0]:
                left.append(pid)
        finally:
            os.close(fd)
    return left
