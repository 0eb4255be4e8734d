"""The raw table's rules for captured names: two connection-tracking zones. Pure.

A UDP question of the application and the agent's own to the same server can share
address and port; in one zone the second would take the first one's translation.
The redirection itself is in `nat_rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from mesh_reference.agent.capture import ALL, Capture, owners, ranges
from mesh_reference.agent.nat_rules import DNS_CHAIN, DNS_PORT

CHAINS = ("ISTIO_INBOUND", DNS_CHAIN)
UPSTREAM, CLIENT = 1, 2
"""Zones: between the agent and the DNS servers, between the application and the agent."""


def rules(capture: Capture, version: int) -> list[str]:
    """The table's rules in order; none where names are not captured."""
    return [*_rules(capture, version)] if capture.dns_servers else []


def _rules(capture: Capture, version: int) -> Iterator[str]:
    servers = [""] if capture.dns_servers == (ALL,) else ranges(capture.dns_servers, version)
    yield f"-A OUTPUT -j {DNS_CHAIN}"
    for kind, owner in owners(capture):
        whose = f"-m owner --{kind}-owner {owner}"
        yield f"-A {DNS_CHAIN} -p udp -m udp --dport 53 {whose} -j CT --zone {UPSTREAM}"
        yield f"-A {DNS_CHAIN} -p udp -m udp --sport {DNS_PORT} {whose} -j CT --zone {CLIENT}"
    if servers:
        yield "-A PREROUTING -j ISTIO_INBOUND"
    for server in servers:
        to, of = (f"-d {server} ", f"-s {server} ") if server else ("", "")
        yield f"-A {DNS_CHAIN} {to}-p udp -m udp --dport 53 -j CT --zone {CLIENT}"
        yield f"-A ISTIO_INBOUND {of}-p udp -m udp --sport 53 -j CT --zone {UPSTREAM}"
