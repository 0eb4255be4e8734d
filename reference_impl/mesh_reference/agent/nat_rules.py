"""The nat table's rules: REDIRECT of both directions, and the outbound half of TPROXY mode. Pure.

Inserts (-I) of Istio's program are resolved: a list holds appends only.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from mesh_reference.agent.capture import ALL, REDIRECT, Capture, inbound_source, loopback, owners, ranges

CHAINS = ("ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT")
DNS_CHAIN = "ISTIO_OUTPUT_DNS"
DNS_PORT = "15053"
"""Where the agent answers names."""


def rules(capture: Capture, version: int) -> list[str]:
    """The table's rules in order, for IP ``version`` 4 or 6."""
    return [*_prerouting_head(capture, version), *_inbound(capture), *_outbound(capture, version)]


def chains(capture: Capture) -> tuple[str, ...]:
    """The chains that the table needs."""
    return (*CHAINS, DNS_CHAIN) if capture.dns_servers else CHAINS


def _prerouting_head(capture: Capture, version: int) -> Iterator[str]:
    # Istio inserts these at position 1, one after the other: the last inserted stands first.
    if capture.outbound_ranges == (ALL,):
        for name in reversed(capture.rerouted_interfaces):
            yield f"-A PREROUTING -i {name} -j ISTIO_REDIRECT"
    else:
        for cidr in reversed(ranges(capture.outbound_ranges, version)):
            for name in reversed(capture.rerouted_interfaces):
                yield f"-A PREROUTING -d {cidr} -i {name} -j ISTIO_REDIRECT"
    for name in reversed(capture.rerouted_interfaces):
        yield f"-A PREROUTING -i {name} -j RETURN"
    for name in capture.excluded_interfaces:
        yield f"-A PREROUTING -i {name} -j RETURN"


def _inbound(capture: Capture) -> Iterator[str]:
    yield f"-A ISTIO_INBOUND -p tcp -m tcp --dport {capture.tunnel_port} -j RETURN"
    yield f"-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports {capture.proxy_port}"
    yield f"-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports {capture.inbound_port}"
    if not capture.inbound_ports or capture.mode != REDIRECT:
        return
    yield "-A PREROUTING -p tcp -j ISTIO_INBOUND"
    if capture.inbound_ports == (ALL,):
        for port in capture.inbound_ports_excluded:
            yield f"-A ISTIO_INBOUND -p tcp -m tcp --dport {port} -j RETURN"
        yield "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT"
    else:
        for port in capture.inbound_ports:
            yield f"-A ISTIO_INBOUND -p tcp -m tcp --dport {port} -j ISTIO_IN_REDIRECT"


def _outbound(capture: Capture, version: int) -> Iterator[str]:
    for name in capture.excluded_interfaces:
        yield f"-A OUTPUT -o {name} -j RETURN"
    yield "-A OUTPUT -j ISTIO_OUTPUT"
    for port in capture.outbound_ports_excluded:
        yield f"-A ISTIO_OUTPUT -p tcp -m tcp --dport {port} -j RETURN"
        yield f"-A ISTIO_OUTPUT -p udp -m udp --dport {port} -j RETURN"
    # The inbound proxy's own connection to the application comes from this address.
    yield f"-A ISTIO_OUTPUT -s {inbound_source(version)} -o lo -j RETURN"
    yield from _loops(capture, version)
    yield from _names(capture, version)
    yield f"-A ISTIO_OUTPUT -d {loopback(version)} -j RETURN"
    for cidr in ranges(capture.outbound_ranges_excluded, version):
        yield f"-A ISTIO_OUTPUT -d {cidr} -j RETURN"
    for port in capture.outbound_ports:
        yield f"-A ISTIO_OUTPUT -p tcp -m tcp --dport {port} -j ISTIO_REDIRECT"
    if capture.outbound_ranges == (ALL,):
        yield "-A ISTIO_OUTPUT -j ISTIO_REDIRECT"
    else:
        for cidr in ranges(capture.outbound_ranges, version):
            yield f"-A ISTIO_OUTPUT -d {cidr} -j ISTIO_REDIRECT"


def _loops(capture: Capture, version: int) -> Iterator[str]:
    """What the pod says to itself, and what the proxy says."""
    loopback_captured = any(
        ipaddress.ip_network(cidr, strict=False).is_loopback for cidr in capture.outbound_ranges if cidr != ALL
    )
    for kind, owner in owners(capture):
        # With names captured, the agent's own question to a DNS server in this pod must not go through Envoy.
        ports = (
            f"-m multiport ! --dports 53,{capture.tunnel_port}"
            if capture.dns_servers and kind == "uid"
            else f"-m tcp ! --dport {capture.tunnel_port}"
        )
        # A pod that calls its own Service: Envoy's outbound side back into Envoy's inbound side.
        yield (
            f"-A ISTIO_OUTPUT ! -d {loopback(version)} -o lo -p tcp {ports} "
            f"-m owner --{kind}-owner {owner} -j ISTIO_IN_REDIRECT"
        )
        if not loopback_captured:
            # The application that calls itself by the pod's address is no traffic of the mesh; its DNS server is.
            names = "-p tcp -m tcp ! --dport 53 " if capture.dns_servers else ""
            yield f"-A ISTIO_OUTPUT -o lo {names}-m owner ! --{kind}-owner {owner} -j RETURN"
        # Or the proxy's traffic would come back to it for ever.
        yield f"-A ISTIO_OUTPUT -m owner --{kind}-owner {owner} -j RETURN"


def _names(capture: Capture, version: int) -> Iterator[str]:
    """Port 53 of the DNS servers goes to the agent: of those alone, or a local forwarder would be asked in a circle."""
    if capture.dns_servers == (ALL,):
        places = [""]
    else:
        places = [f"-d {server} " for server in ranges(capture.dns_servers, version)]
    if places:
        yield f"-A ISTIO_OUTPUT -j {DNS_CHAIN}"
    for protocol in ("tcp", "udp"):
        for place in places:
            yield f"-A {DNS_CHAIN} {place}-p {protocol} -m {protocol} --dport 53 -j REDIRECT --to-ports {DNS_PORT}"
