"""What is accepted, every proxy takes: no document that the mesh lets in may end as a refused update (a NACK), or end the proxy.

Nobody sends a request. Documents that name files on the proxy's own disk are left out: whether they can be read is its Pod's matter.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mesh_conformance.counters import ALL_STATS
from mesh_conformance.injection.pod_contents import is_injected
from mesh_conformance.stage import own_namespace
from mesh_conformance.validation.vectors import Json, acceptable
from pytest_mesh.failures import Infrastructure, MeshFailure, Refused
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.proxies import Proxy

SERVER = "reviews"
"""The workload; policies of the vectors select its label."""
OF_EACH_KIND = 3
"""Documents a run; with MESH_EXTENDED all of them."""
_SERVICE = {"selector": {"app": SERVER}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
_CLOCK_SECONDS = 2.0
"""The proxy tells whole seconds."""
_UPDATES = "update_(rejected|success)"
_ON_DISK = '"privateKey"'
_LOG_LINES = 10
_LAST = "Sidecar"
"""It may hide the others from the proxy, so it comes after them."""


@pytest.fixture
def unmarked(request: pytest.FixtureRequest, mesh: RunningMesh, mesh_settings: MeshSettings) -> Iterator[MeshNamespace]:
    """A namespace whose documents go out as they stand: nobody sends there, so no marker is waited for."""
    settings = replace(mesh_settings, mark_routes=False)
    with own_namespace(request, mesh, settings, purpose=Path(__file__).parent.name) as namespace:
        yield namespace


@pytest.mark.mesh_feature("AcceptedNeverNacked")
def test_no_proxy_refuses_what_the_mesh_accepted(unmarked: MeshNamespace, mesh_settings: MeshSettings) -> None:
    unmarked.stand_in(SERVER, annotations=ALL_STATS)
    pod = unmarked.pod(SERVER)
    name = str(pod["metadata"]["name"])
    assert is_injected(pod, unmarked.implementation), (
        f"no proxy takes anything: {name} has no container {unmarked.implementation.proxy_container}"
    )
    proxy = unmarked.proxy(name)
    number = None if os.environ.get("MESH_EXTENDED") else OF_EACH_KIND
    wanted = [one for one in acceptable(mesh_settings.seed, number, unmarked.name) if _ON_DISK not in json.dumps(one)]
    before, lived, began = proxy.stats(_UPDATES), _uptime(proxy), time.monotonic()

    accepted = 0
    for group in _groups(wanted, unmarked.name):
        taken = [one for one in group if _is_taken(unmarked, one)]
        accepted += sum(one["kind"] != "Service" for one in taken)
        unmarked.apply(taken)
    try:
        now, passed = proxy.stats(_UPDATES), time.monotonic() - began
        restarted = _uptime(proxy) + _CLOCK_SECONDS < lived + passed
    except Infrastructure as error:
        # It answered before; that its Pod can still be read tells it from a cluster that is gone.
        raise MeshFailure(_ended(unmarked, proxy, accepted)) from error
    if restarted:
        raise MeshFailure(_ended(unmarked, proxy, accepted))
    grown = {name: value - before.get(name, 0) for name, value in now.items() if value > before.get(name, 0)}
    refused = {name: times for name, times in grown.items() if name.endswith("update_rejected")}
    unmarked.facts(documents=len(wanted), accepted=accepted, seed=mesh_settings.seed, updates=sum(grown.values()))
    if refused:
        counted = ", ".join(f"{name} {times}" for name, times in sorted(refused.items()))
        raise MeshFailure(
            f"the proxy of {proxy.pod} refused what the mesh had accepted ({counted}; {accepted} documents, seed "
            f"{mesh_settings.seed}):\n" + "\n".join(f"  {one}" for one in _why(unmarked, proxy))
        )
    assert accepted > len(wanted) // 2, f"only {accepted} of {len(wanted)} valid documents were accepted"
    assert grown, f"no update came to the proxy of {proxy.pod} after {accepted} documents"


def _uptime(proxy: Proxy) -> float:
    """Give how many seconds the proxy has run."""
    return float(str(json.loads(proxy.fetch("/server_info"))["uptime_current_epoch"]).removesuffix("s"))


def _ended(namespace: MeshNamespace, proxy: Proxy, accepted: int) -> str:
    container = namespace.implementation.proxy_container
    lines = namespace.logs(proxy.pod, container).splitlines()
    last = [one for one in lines if "critical" in one or "error" in one.lower()][-_LOG_LINES:] or lines[-_LOG_LINES:]
    return (
        f"the proxy of {proxy.pod} ended while {accepted} documents came to it that the mesh had accepted; "
        f"its container {container} says:\n" + "\n".join(f"  {one}" for one in last)
    )


def _why(namespace: MeshNamespace, proxy: Proxy) -> list[str]:
    """Give what a proxy says of its refusals: in its configuration, else in its log."""
    lines = namespace.logs(proxy.pod, namespace.implementation.proxy_container).splitlines()
    logged = list(dict.fromkeys(line.partition("rejected: ")[2] for line in lines if "rejected: " in line))
    return reasons(proxy.config_dump()) or logged[-_LOG_LINES:] or ["(it does not say why)"]


def reasons(dump: Any) -> list[str]:
    """Give what a proxy says of the resources that it refused, each text once."""
    found: dict[str, None] = {}

    def read(value: Any) -> None:
        if isinstance(value, dict):
            state = value.get("error_state")
            if isinstance(state, dict) and state.get("details"):
                found[f"{value.get('name') or 'a resource'}: {state['details']}"] = None
            for item in value.values():
                read(item)
        elif isinstance(value, list):
            for item in value:
                read(item)

    read(dump)
    return list(found)


def _groups(wanted: list[Json], namespace: str) -> list[list[Json]]:
    """Give the documents in the order in which they go out; each route and each policy for traffic has a Service of its own."""
    first: list[Json] = []
    last: list[Json] = []
    for document in wanted:
        if document["kind"] == _LAST:
            last.append(document)
        elif document["kind"] in {"VirtualService", "DestinationRule"}:
            name = document["metadata"]["name"]
            metadata = {"name": name, "namespace": namespace}
            first.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": _SERVICE})
            first.append(json.loads(json.dumps(document).replace(f'"{SERVER}"', f'"{name}"')))
        else:
            first.append(document)
    return [first, last]


def _is_taken(namespace: MeshNamespace, document: Json) -> bool:
    """Whether the mesh takes a document; of one that it refuses the check beside this one tells."""
    try:
        namespace.apply(document, dry_run=True)
    except Refused:
        return False
    return True
