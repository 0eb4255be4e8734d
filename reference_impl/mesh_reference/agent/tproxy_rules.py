"""The mangle table's rules for TPROXY mode, and the routes that bring marked packets to a local socket. Pure.

Inbound connections keep source and destination address: a packet is marked, the
mark's route leads to ``lo``, and a transparent socket on the inbound port takes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from mesh_reference.agent.capture import ALL, TPROXY, Capture, inbound_source, loopback, owners

CHAINS = ("ISTIO_DIVERT", "ISTIO_INBOUND", "ISTIO_TPROXY")
MARK, OUTBOUND_MARK = 1337, 1338
"""Of inbound connections, and of the proxy's own outbound ones to this pod."""
ROUTE_TABLE = 133
_INBOUND, _OUTBOUND = f"0x{MARK:x}", f"0x{OUTBOUND_MARK:x}"
MARKS = (_INBOUND, _OUTBOUND)
_ALL_BITS = "--nfmask 0xffffffff --ctmask 0xffffffff"


def rules(capture: Capture, version: int) -> list[str]:
    """The table's rules in order, in the spelling of ``iptables-save``; none in REDIRECT mode."""
    if capture.mode != TPROXY:
        return []
    return [*_prerouting(capture), *_output(capture, version), *_inbound(capture, version)]


def routes(capture: Capture, version: int) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Arguments of ``ip`` that make the policy rule and the route; None where they are not needed."""
    if capture.mode != TPROXY or not capture.inbound_ports:
        return None
    family, table = f"-{version}", str(ROUTE_TABLE)
    return (
        (family, "rule", "add", "fwmark", str(MARK), "lookup", table),
        (family, "route", "replace", "local", "default", "dev", "lo", "table", table),
    )


def _prerouting(capture: Capture) -> Iterator[str]:
    for name in capture.excluded_interfaces:
        yield f"-A PREROUTING -i {name} -j RETURN"
    if capture.inbound_ports:
        yield "-A PREROUTING -p tcp -j ISTIO_INBOUND"
    # The listener's original_src filter marks what Envoy sends on; answers must find the way back.
    yield f"-A PREROUTING -p tcp -m mark --mark {_INBOUND} -j CONNMARK --save-mark {_ALL_BITS}"


def _output(capture: Capture, version: int) -> Iterator[str]:
    for name in capture.excluded_interfaces:
        yield f"-A OUTPUT -o {name} -j RETURN"
    yield f"-A OUTPUT -o lo -p tcp -m mark --mark {_INBOUND} -j RETURN"
    for kind, owner in owners(capture):
        yield (
            f"-A OUTPUT ! -d {loopback(version)} -o lo -p tcp -m owner --{kind}-owner {owner} "
            f"-j MARK --set-xmark {_OUTBOUND}/0xffffffff"
        )
    yield f"-A OUTPUT -p tcp -m connmark --mark {_INBOUND} -j CONNMARK --restore-mark {_ALL_BITS}"


def _inbound(capture: Capture, version: int) -> Iterator[str]:
    # Already marked; the proxy's own connections to the application; the application's to itself.
    yield f"-A ISTIO_INBOUND -p tcp -m mark --mark {_INBOUND} -j RETURN"
    yield f"-A ISTIO_INBOUND -s {inbound_source(version)} -i lo -p tcp -j RETURN"
    yield f"-A ISTIO_INBOUND -i lo -p tcp -m mark ! --mark {_OUTBOUND} -j RETURN"
    if not capture.inbound_ports:
        return
    everything = capture.inbound_ports == (ALL,)
    for port in capture.inbound_ports_excluded if everything else ():
        yield f"-A ISTIO_INBOUND -p tcp -m tcp --dport {port} -j RETURN"
    for port in ("",) if everything else capture.inbound_ports:
        place = f"-m tcp --dport {port} " if port else ""
        yield f"-A ISTIO_INBOUND -p tcp {place}-m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT"
        yield f"-A ISTIO_INBOUND -p tcp {place}-j ISTIO_TPROXY"
    yield f"-A ISTIO_DIVERT -j MARK --set-xmark {_INBOUND}/0xffffffff"
    yield "-A ISTIO_DIVERT -j ACCEPT"
    anywhere = "0.0.0.0" if version == 4 else "::"
    yield (
        f"-A ISTIO_TPROXY ! -d {loopback(version)} -p tcp -j TPROXY --on-port {capture.inbound_port} "
        f"--on-ip {anywhere} --tproxy-mark {_INBOUND}/0xffffffff"
    )
