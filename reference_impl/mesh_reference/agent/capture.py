"""What of a pod's traffic is captured: the arguments of ``istio-iptables``, checked. Pure.

It deliberately knows no rules: `iptables` and the modules of its tables make them.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from mesh_reference.errors import MeshError

TUNNEL_PORT = "15008"
ALL = "*"
REDIRECT, TPROXY = "REDIRECT", "TPROXY"


class CaptureError(MeshError):
    """An argument cannot be honoured; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """What is captured, in the words of Istio's flags; ``*`` is everything, empty is nothing."""

    proxy_port: str = "15001"
    """-p: where outbound connections go."""
    inbound_port: str = "15006"
    """-z: where inbound connections go."""
    tunnel_port: str = TUNNEL_PORT
    """-e: never captured on the way in."""
    proxy_uids: tuple[str, ...] = ("1337",)
    """-u: whose own traffic is left alone."""
    proxy_gids: tuple[str, ...] = ("1337",)
    """-g."""
    mode: str = REDIRECT
    """-m: REDIRECT changes the destination address, TPROXY keeps both addresses of inbound connections."""
    outbound_ranges: tuple[str, ...] = ()
    """-i: CIDRs to capture, or ``*``."""
    outbound_ranges_excluded: tuple[str, ...] = ()
    """-x."""
    inbound_ports: tuple[str, ...] = ()
    """-b: ports to capture, or ``*``."""
    inbound_ports_excluded: tuple[str, ...] = ()
    """-d: only read when -b is ``*``."""
    outbound_ports: tuple[str, ...] = ()
    """-q: captured whatever their address."""
    outbound_ports_excluded: tuple[str, ...] = ()
    """-o."""
    excluded_interfaces: tuple[str, ...] = ()
    """-c: neither direction is captured."""
    rerouted_interfaces: tuple[str, ...] = ()
    """-k: what comes in here counts as outbound (virtual machines)."""
    dns_servers: tuple[str, ...] = ()
    """Addresses whose port 53 goes to the agent (--redirect-dns), or ``*`` (--capture-all-dns)."""


def split(text: str) -> tuple[str, ...]:
    """Read a comma-separated flag; blanks and empty parts fall away."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def check(capture: Capture) -> None:
    """Refuse what cannot be done, before anything is done. Raises CaptureError."""
    if capture.mode not in {REDIRECT, TPROXY}:
        raise CaptureError(f"-m {capture.mode}: use {REDIRECT} or {TPROXY}")
    for flag, ports in (
        ("-p", (capture.proxy_port,)),
        ("-z", (capture.inbound_port,)),
        ("-e", (capture.tunnel_port,)),
        ("-b", () if capture.inbound_ports == (ALL,) else capture.inbound_ports),
        ("-d", capture.inbound_ports_excluded),
        ("-q", capture.outbound_ports),
        ("-o", capture.outbound_ports_excluded),
    ):
        for port in ports:
            if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
                raise CaptureError(f"{flag}: {port!r} is not a port (1 to 65535)")
    for flag, found in (("-i", capture.outbound_ranges), ("-x", capture.outbound_ranges_excluded)):
        if flag == "-i" and found == (ALL,):
            continue
        for cidr in found:
            try:
                ipaddress.ip_network(cidr, strict=False)
            except ValueError as error:
                raise CaptureError(f"{flag}: {cidr!r} is not an address range such as 10.96.0.0/16") from error
    for flag, ids in (("-u", capture.proxy_uids), ("-g", capture.proxy_gids)):
        for owner in ids:
            # A name would need the pod's user database, and a wrong one loops the proxy's traffic into itself.
            if not (owner.isascii() and owner.isdigit()):
                raise CaptureError(f"{flag}: {owner!r} is not a numeric id")
    for flag, interfaces in (("-c", capture.excluded_interfaces), ("-k", capture.rerouted_interfaces)):
        for name in interfaces:
            if len(name) > 15 or not all(c.isascii() and c.isprintable() and c not in " /\"'" for c in name):
                raise CaptureError(f"{flag}: {name!r} is not an interface name")
    for address in () if capture.dns_servers == (ALL,) else capture.dns_servers:
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise CaptureError(f"--redirect-dns: the nameserver {address!r} is not an address") from error


def owners(capture: Capture) -> list[tuple[str, str]]:
    """``("uid", "1337")``, then ``("gid", "1337")``: the proxies, in the order of Istio's rules."""
    return [*(("uid", uid) for uid in capture.proxy_uids), *(("gid", gid) for gid in capture.proxy_gids)]


def loopback(version: int) -> str:
    """The loopback address of an IP version."""
    return "127.0.0.1/32" if version == 4 else "::1/128"


def inbound_source(version: int) -> str:
    """Where the inbound proxy's own connections to the application come from."""
    return "127.0.0.6/32" if version == 4 else "::6/128"


def ranges(cidrs: tuple[str, ...], version: int) -> list[str]:
    """Those of the CIDRs that are of the IP version, without host bits."""
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs if cidr != ALL]
    return [str(network) for network in networks if network.version == version]
