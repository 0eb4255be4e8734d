"""What a pod's proxy counted: requests that it sent on, connections that its interception ports took. It reads only."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mesh_conformance.injection.pod_contents import is_injected
from mesh_conformance.wording import told
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.traffic.client import Client
from pytest_mesh.traffic.proxies import Proxy

_REFUSALS = {
    "fail_verify_san": "it names another identity than the workload's",
    "fail_verify_error": "no root that the proxy trusts signed it, or it is out of date",
    "fail_verify_no_cert": "the server sent none",
}
"""Envoy's counters of refused certificates, and what each means."""

ALL_STATS = {"sidecar.istio.io/statsInclusionRegexps": ".*"}
"""Annotation for pods whose counters are read: proxies may leave them out unless they are asked for."""


def requests(proxy: Proxy, direction: str) -> int:
    """Count the requests that a proxy sent on: to other pods (``outbound``) or to its own application (``inbound``)."""
    return _sum(proxy.stats("upstream_rq_total"), rf"cluster\.{direction}\|.*upstream_rq_total")


def connections(proxy: Proxy, port: int) -> int:
    """Count the connections that a listener took."""
    return _sum(proxy.stats("downstream_cx_total"), rf"listener\..*_{port}\.downstream_cx_total")


def certificate_refusals(proxy: Proxy) -> str:
    """Say why a proxy refused servers' certificates, as a sentence's beginning; empty when it refused none.

    An answer of 503 does not tell: Envoy calls every failed handshake a connection failure.
    """
    counted = proxy.stats("ssl.fail_verify")
    for counter, meaning in _REFUSALS.items():
        times = _sum(counted, rf"cluster\.outbound\|.*ssl\.{counter}")
        if times:
            return f"the client's proxy refused the server's certificate: {meaning} (ssl.{counter}, {times} times): "
    return ""


def assert_reaches(namespace: MeshNamespace, client: Client, url: str) -> None:
    """Fail at once, and with the cause, when a client's requests do not pass its own proxy or do not arrive.

    Without this a mesh that captures nothing would be told of as one that never converges.
    """
    implementation = namespace.implementation
    if implementation.proxy_container:
        pod = namespace.pod(client.pod)
        assert is_injected(pod, implementation), (
            f"nothing is captured: {client.pod} has no container {implementation.proxy_container}"
        )
    if not implementation.admin_port:
        return
    proxy = namespace.proxy(client.pod)
    before = requests(proxy, "outbound")
    response = client.get(url)
    counted = requests(proxy, "outbound") - before
    # A request that a proxy answered was captured, whether it was sent on or not.
    captured = counted > 0 or (response.status and response.echo is None)
    assert captured, (
        f"no outbound request went through {implementation.outbound_port}: REDIRECT rules missing? "
        f"({url} from {client.pod} gave {told(response)}; its proxy counted nothing)"
    )
    refused = "" if response.ok else certificate_refusals(proxy)
    assert response.ok, f"{refused}{url} from {client.pod} gave {told(response)}, expected an answer of the workload"


def _sum(stats: Mapping[str, int], pattern: str) -> int:
    return sum(value for name, value in stats.items() if re.fullmatch(pattern, name))
