"""Requests go through both proxies, by way of the two interception ports: told by the proxies' own counters."""

from __future__ import annotations

import pytest

from mesh_conformance.counters import connections, requests
from mesh_conformance.injection.pod_contents import is_injected
from mesh_conformance.wording import told
from pytest_mesh.contracts import CONTROL_PORT, Request
from pytest_mesh.fixtures import RunningMesh
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.stand_ins import HTTP_PORT
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.proxies import Proxy

REQUESTS = 20


@pytest.mark.mesh_feature("InjectTrafficCaptured")
def test_each_request_passes_both_proxies(mesh: RunningMesh, injected: MeshNamespace, tester: Client) -> None:
    near, far = _proxies(mesh, injected, tester)
    before = requests(near, "outbound"), requests(far, "inbound")

    responses = tester.batch([Request(url="http://reviews")], count=REQUESTS)

    failed = [response for response in responses if not response.ok]
    assert not failed, f"{len(failed)} of {REQUESTS} requests failed: {told(failed[0])}"
    outbound = requests(near, "outbound") - before[0]
    inbound = requests(far, "inbound") - before[1]
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
    mesh: RunningMesh, injected: MeshNamespace, tester: Client
) -> None:
    """A connection to a pod's own address meets no other listener, so these two count it themselves."""
    near, far = _proxies(mesh, injected, tester)
    implementation = injected.implementation
    address = injected.pod("reviews")["status"]["podIP"]
    outbound, inbound = implementation.outbound_port, implementation.inbound_port
    before = connections(near, outbound), connections(far, inbound)

    # The control port is out of the server's interception, but not of the client's.
    control = tester.get(f"http://{address}:{CONTROL_PORT}/healthz")
    assert control.status == 200, f"{address}:{CONTROL_PORT} gave {told(control)}"
    application = tester.get(f"http://{address}:{HTTP_PORT}/")
    assert application.status == 200, f"{address}:{HTTP_PORT} gave {told(application)}"

    assert connections(near, outbound) > before[0], (
        f"no outbound connection went through {outbound}: REDIRECT rules missing? (counted by the proxy of {near.pod})"
    )
    assert connections(far, inbound) > before[1], (
        f"no inbound connection went through {inbound}: REDIRECT rules missing? (counted by the proxy of {far.pod})"
    )


def _proxies(mesh: RunningMesh, injected: MeshNamespace, tester: Client) -> tuple[Proxy, Proxy]:
    """Give the proxies of the client and of the server, whose counters can be read."""
    pods = injected.pod(tester.pod), injected.pod("reviews")
    for pod in pods:
        assert is_injected(pod, mesh.implementation), (
            f"nothing is captured: {pod['metadata']['name']} has no container {mesh.implementation.proxy_container}"
        )
    mesh.needs("admin_port")
    near, far = (injected.proxy(pod["metadata"]["name"]) for pod in pods)
    return near, far


def _share(counted: int) -> str:
    return "no" if counted == 0 else f"not every ({counted} of {REQUESTS})"
