"""A real kube-apiserver takes the definitions, CEL's cost limits included, and refuses in the words of `refmesh validate`.

Needs MESH_KUBE_APISERVER and MESH_ETCD, the paths of the two programs. Not among the quick tests: ``make validation-live`` runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from mesh_conformance.validation.vectors import all_vectors
from mesh_reference.validation import galley
from mesh_reference.validation.findings import errors

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "local" / "differential"))

import real_server
from admitting import Api, galley_served, install
from refusals import agrees, said

SERVED = [vector for vector in all_vectors() if vector.rule != "unknown-kind"]
pytestmark = pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")


@contextlib.contextmanager
def kube_apiserver(folder: Path) -> Iterator[Api]:
    with real_server.kube_apiserver(folder) as (url, token), requests.Session() as session:
        session.trust_env = False
        session.verify = False
        session.headers["Authorization"] = f"Bearer {token}"
        yield Api(url=url, session=session)


@contextlib.contextmanager
def webhook(folder: Path) -> Iterator[dict[str, Any]]:
    """Galley over TLS, in a thread of its own; gives the ``clientConfig``."""
    box: dict[str, Any] = {}
    ready = threading.Event()

    async def main() -> None:
        box["stop"], box["loop"] = asyncio.Event(), asyncio.get_running_loop()
        async with galley_served(folder) as box["hook"]:
            ready.set()
            await box["stop"].wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(20)
    yield box["hook"]
    box["loop"].call_soon_threadsafe(box["stop"].set)
    thread.join(10)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if not {"MESH_KUBE_APISERVER", "MESH_ETCD"} <= os.environ.keys() or shutil.which("openssl") is None:
        pytest.skip("MESH_KUBE_APISERVER and MESH_ETCD do not name the programs")
    folder = tmp_path_factory.mktemp("kube")
    with webhook(folder) as hook, kube_apiserver(folder) as found:  # the one that keeps connections ends first
        install(found, hook)
        end = time.monotonic() + 30
        broken = next(vector.bad for vector in SERVED if vector.rule == "V12")
        while found.create(broken)[0] != 400:  # definitions and webhooks are served a little later
            assert time.monotonic() < end
            threading.Event().wait(0.2)
        yield found


def test_a_real_api_server_refuses_each_bad_document_in_the_words_of_validate_and_takes_each_twin(api: Api) -> None:
    problems = []
    for vector in SERVED:
        status, answer = api.create(vector.good)
        if status != 201:
            problems.append(f"{vector.id}: the twin is refused: {answer['message']}")
        status, answer = api.create(vector.bad)
        if vector.severity == "warning":
            problems += [] if status == 201 else [f"{vector.id}: refused: {answer['message']}"]
        elif status not in {400, 422} or not agrees(said(answer["message"]), errors(galley.validate(vector.bad))):
            problems.append(f"{vector.id}: {status} {answer.get('message')}")
    assert problems == []
