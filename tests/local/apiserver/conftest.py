"""The assembled API server on a loopback port, in a thread of its own: no node, no namespaces, no TLS."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from aiohttp import web

from pytest_mesh.clusters.local.apiserver import __main__ as program
from pytest_mesh.clusters.local.apiserver import first_objects, front

sys.path.insert(0, str(Path(__file__).parent))

from widget_definitions import CRDS, SPEC, WIDGETS, definition

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"

numbers = itertools.count(1)


@dataclass
class Api:
    """Calls give (HTTP status, decoded body)."""

    url: str
    session: requests.Session
    server: object

    def call(self, method, path, body=None, content_type="application/json", accept="application/json", **params):
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        headers = {"Content-Type": content_type, "Accept": accept}
        answer = self.session.request(method, self.url + path, data=data, params=params, headers=headers, timeout=10)
        self.warnings = answer.headers.get("Warning", "")
        return answer.status_code, answer.json() if answer.content else None

    def get(self, path, **params):
        return self.call("GET", path, **params)

    def post(self, path, body, **params):
        return self.call("POST", path, body, **params)

    def put(self, path, body, **params):
        return self.call("PUT", path, body, **params)

    def merge(self, path, body, **params):
        return self.call("PATCH", path, body, MERGE, **params)

    def patch(self, path, body, **params):
        return self.call("PATCH", path, body, JSON_PATCH, **params)

    def strategic(self, path, body, **params):
        return self.call("PATCH", path, body, STRATEGIC, **params)

    def apply(self, path, body, manager="tests", **params):
        return self.call("PATCH", path, body, APPLY, fieldManager=manager, **params)

    def delete(self, path, body=None, **params):
        return self.call("DELETE", path, body, **params)

    def watch(self, path, **params):
        """Give the watch's answer: (status, iterator of events). The events end after ``timeoutSeconds``."""
        params = {"watch": "true", "timeoutSeconds": 1, **params}
        answer = self.session.get(self.url + path, params=params, stream=True, timeout=10)
        return answer.status_code, _events(answer)


def _events(answer):
    with answer:
        for line in answer.iter_lines(chunk_size=None):
            yield json.loads(line)


async def serve(run_dir, publish, stop):
    server = program._assemble(argparse.Namespace(run_dir=run_dir, node_address="10.244.0.1"))
    runner = front.runner(server, shutdown_timeout=0.1)
    await runner.setup()
    await first_objects.create(server, port=6443)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    publish(f"http://127.0.0.1:{runner.addresses[0][1]}", server)
    await stop.wait()
    server.store.stop()
    await runner.cleanup()


@pytest.fixture(scope="session")
def api(tmp_path_factory):
    box, ready = {}, threading.Event()

    async def main():
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()

        def publish(url, server):
            box["url"], box["server"] = url, server
            ready.set()

        try:
            await serve(tmp_path_factory.mktemp("api"), publish, box["stop"])
        finally:
            ready.set()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(10)
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {box['server'].authenticator.admin_token}"
        session.headers["User-Agent"] = "tests/1"
        yield Api(box["url"], session, box["server"])
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def space(api):
    """The path of a namespace of the test's own; it has a default ServiceAccount."""
    name = f"test-{next(numbers)}"
    status, _ = api.post("/api/v1/namespaces", {"metadata": {"name": name}})
    assert status == 201
    path = f"/api/v1/namespaces/{name}"
    status, _ = api.post(f"{path}/serviceaccounts", {"metadata": {"name": "default"}})
    assert status == 201
    return path


@pytest.fixture
def apps(space):
    return "/apis/apps/v1" + space.removeprefix("/api/v1")


@pytest.fixture(scope="session")
def widgets(api):
    """The collection of a custom resource, served in three versions."""
    columns = [{"name": "Host", "type": "string", "jsonPath": ".spec.host"}]
    body = definition("widgets", "Widget", SPEC, additionalPrinterColumns=columns)
    status, answer = api.post(CRDS, body)
    assert status == 201, answer
    return WIDGETS


@pytest.fixture
def widget(widgets):
    """Make a widget of the group's version ``version``."""

    def make(name, spec, version="v1", **metadata):
        metadata = {"name": name, **metadata}
        return {"apiVersion": f"tests.example/{version}", "kind": "Widget", "metadata": metadata, "spec": spec}

    return make
