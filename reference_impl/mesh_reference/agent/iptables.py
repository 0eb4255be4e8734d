"""Traffic capture as rules: the arguments of ``istio-iptables`` turned into iptables-restore input.

Pure: nothing is run and nothing is read. REDIRECT mode is whole, for IPv4 and
IPv6. TPROXY mode and DNS capture are deliberately not made; asking for them is
an error, because traffic that silently goes uncaptured proves nothing.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAINS = ("ISTIO_INBOUND", "ISTIO_IN_REDIRECT", "ISTIO_OUTPUT", "ISTIO_REDIRECT")
TUNNEL_PORT = "15008"
ALL = "*"


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
    mode: str = "REDIRECT"
    """-m."""
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


def split(text: str) -> tuple[str, ...]:
    """Read a comma-separated flag; blanks and empty parts fall away."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def check(capture: Capture) -> None:
    """Refuse what cannot be done, before anything is done. Raises CaptureError."""
    if capture.mode != "REDIRECT":
        raise CaptureError(f"-m {capture.mode}: only REDIRECT is supported")
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
    for flag, ranges in (("-i", capture.outbound_ranges), ("-x", capture.outbound_ranges_excluded)):
        if flag == "-i" and ranges == (ALL,):
            continue
        for cidr in ranges:
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


def rules(capture: Capture, version: int) -> list[str]:
    """Give the nat table's rules in order, for IP ``version`` 4 or 6 (istio-semantics 2.3).

    Inserts (-I) are resolved: the list holds appends only, PREROUTING's inserted
    rules first. Raises CaptureError.
    """
    check(capture)
    return [*_prerouting_head(capture, version), *_inbound(capture), *_outbound(capture, version)]


def restore_input(capture: Capture, version: int, current: str = "") -> str:
    """Give one ``iptables-restore --noflush`` input that leads from ``current`` to the capture.

    ``current`` is what ``iptables-save -t nat`` prints. Own chains are emptied by
    declaring them, and earlier jumps into them are deleted in the same
    transaction, so a second run ends where the first did (the table is never
    half built). Foreign rules stay.
    """
    wanted = rules(capture, version)
    leftovers = [
        "-D" + line[2:]
        for line in current.splitlines()
        if line.startswith(("-A PREROUTING ", "-A OUTPUT ")) and (_is_ours(line) or line in wanted)
    ]
    return "\n".join(["*nat", *(f":{chain} - [0:0]" for chain in CHAINS), *leftovers, *wanted, "COMMIT", ""])


def _is_ours(line: str) -> bool:
    return line.rpartition(" -j ")[2] in CHAINS


def _prerouting_head(capture: Capture, version: int) -> Iterator[str]:
    # Istio inserts these at position 1, one after the other: the last inserted stands first.
    if capture.outbound_ranges == (ALL,):
        for name in reversed(capture.rerouted_interfaces):
            yield f"-A PREROUTING -i {name} -j ISTIO_REDIRECT"
    else:
        for cidr in reversed(_ranges(capture.outbound_ranges, version)):
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
    if not capture.inbound_ports:
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
    loopback, inbound_source = ("127.0.0.1/32", "127.0.0.6/32") if version == 4 else ("::1/128", "::6/128")
    for name in capture.excluded_interfaces:
        yield f"-A OUTPUT -o {name} -j RETURN"
    yield "-A OUTPUT -j ISTIO_OUTPUT"
    for port in capture.outbound_ports_excluded:
        yield f"-A ISTIO_OUTPUT -p tcp -m tcp --dport {port} -j RETURN"
        yield f"-A ISTIO_OUTPUT -p udp -m udp --dport {port} -j RETURN"
    # The inbound proxy's own connection to the application comes from this address.
    yield f"-A ISTIO_OUTPUT -s {inbound_source} -o lo -j RETURN"
    loopback_captured = any(
        ipaddress.ip_network(cidr, strict=False).is_loopback for cidr in capture.outbound_ranges if cidr != ALL
    )
    owners = [*(("uid", uid) for uid in capture.proxy_uids), *(("gid", gid) for gid in capture.proxy_gids)]
    for kind, owner in owners:
        # A pod that calls its own Service: Envoy's outbound side back into Envoy's inbound side.
        yield (
            f"-A ISTIO_OUTPUT ! -d {loopback} -o lo -p tcp -m tcp ! --dport {capture.tunnel_port} "
            f"-m owner --{kind}-owner {owner} -j ISTIO_IN_REDIRECT"
        )
        if not loopback_captured:
            # The application that calls itself by the pod's address is no traffic of the mesh.
            yield f"-A ISTIO_OUTPUT -o lo -m owner ! --{kind}-owner {owner} -j RETURN"
        # Or the proxy's traffic would come back to it for ever.
        yield f"-A ISTIO_OUTPUT -m owner --{kind}-owner {owner} -j RETURN"
    yield f"-A ISTIO_OUTPUT -d {loopback} -j RETURN"
    for cidr in _ranges(capture.outbound_ranges_excluded, version):
        yield f"-A ISTIO_OUTPUT -d {cidr} -j RETURN"
    for port in capture.outbound_ports:
        yield f"-A ISTIO_OUTPUT -p tcp -m tcp --dport {port} -j ISTIO_REDIRECT"
    if capture.outbound_ranges == (ALL,):
        yield "-A ISTIO_OUTPUT -j ISTIO_REDIRECT"
    else:
        for cidr in _ranges(capture.outbound_ranges, version):
            yield f"-A ISTIO_OUTPUT -d {cidr} -j ISTIO_REDIRECT"


def _ranges(cidrs: tuple[str, ...], version: int) -> list[str]:
    networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs if cidr != ALL]
    return [str(network) for network in networks if network.version == version]
