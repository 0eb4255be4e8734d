"""Requests go through both proxies, by way of the two interception ports: told by the proxies' own counters."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from mesh_conformance.injection.pod_contents import is_injected
from pytest_mesh.contracts import CONTROL_PORT, Json, Request
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.proxies import Proxy

REQUESTS = 20


@pytest.fixture
def pods(mesh: RunningMesh, injected: MeshNamespace, tester: Client) -> tuple[Json, Json]:
    """Give the client's and the server's Pod; both have a proxy whose counters can be read."""
    implementation = injected.implementation
    client, server = injected.pod(tester.pod), injected.pod("reviews")
    for pod in (client, server):
        assert is_injected(pod, implementation), (
            f"nothing is captured: {pod['metadata']['name']} has no container {implementation.proxy_container}"
        )
    mesh.needs("admin_port")
    return client, server


@pytest.mark.mesh_feature("InjectTrafficCaptured")
def test_each_request_passes_both_proxies(injected: MeshNamespace, tester: Client, pods: tuple[Json, Json]) -> None:
    near, far = (injected.proxy(pod["metadata"]["name"]) for pod in pods)
    before = _requests(near, "outbound"), _requests(far, "inbound")

    responses = tester.batch([Request(url="http://reviews")], count=REQUESTS)

    failed = [response for response in responses if not response.ok]
    assert not failed, f"{len(failed)} of {REQUESTS} requests failed: {failed[0].failure or failed[0].status}"
    outbound = _requests(near, "outbound") - before[0]
    inbound = _requests(far, "inbound") - before[1]
    assert outbound >= REQUESTS, (
        f"{_share(outbound)} outbound request went through {injected.implementation.outbound_port}: "
        f"REDIRECT rules missing? (counted by the proxy of {near.pod})"
    )
    assert inbound >= REQUESTS, (
        f"{_share(inbound)} inbound request went through {injected.implementation.inbound_port}: "
        f"REDIRECT rules missing? (counted by the proxy of {far.pod})"
    )


@pytest.mark.mesh_feature("InjectTrafficCaptured")
def test_connections_arrive_at_the_interception_ports(
    injected: MeshNamespace, tester: Client, pods: tuple[Json, Json]
) -> None:
    """A connection to a pod's own address meets no other listener, so these two count it themselves."""
    near, far = (injected.proxy(pod["metadata"]["name"]) for pod in pods)
    implementation = injected.implementation
    address = pods[1]["status"]["podIP"]
    outbound, inbound = implementation.outbound_port, implementation.inbound_port
    before = _connections(near, outbound), _connections(far, inbound)

    # The control port is out of the server's interception, but not of the client's.
    control = tester.get(f"http://{address}:{CONTROL_PORT}/healthz")
    assert control.status == 200, f"{address}:{CONTROL_PORT} gave {control.failure or control.status}"
    application = tester.get(f"http://{address}:{HTTP_PORT}/")
    assert application.status == 200, f"{address}:{HTTP_PORT} gave {application.failure or application.status}"

    assert _connections(near, outbound) > before[0], (
        f"no outbound connection went through {outbound}: REDIRECT rules missing? (counted by the proxy of {near.pod})"
    )
    assert _connections(far, inbound) > before[1], (
        f"no inbound connection went through {inbound}: REDIRECT rules missing? (counted by the proxy of {far.pod})"
    )


def _requests(proxy: Proxy, direction: str) -> int:
    """Count the requests that a proxy sent on: to other pods (outbound) or to its own application (inbound)."""
    return _sum(proxy.stats("upstream_rq_total"), rf"cluster\.{direction}\|.*upstream_rq_total")


def _connections(proxy: Proxy, port: int) -> int:
    """Count the connections that a listener took."""
    return _sum(proxy.stats("downstream_cx_total"), rf"listener\..*_{port}\.downstream_cx_total")


def _sum(stats: Mapping[str, int], pattern: str) -> int:
    return sum(value for name, value in stats.items() if re.fullmatch(pattern, name))


def _share(counted: int) -> str:
    return "no" if counted == 0 else f"not every ({counted} of {REQUESTS})"
