"""``refmesh iptables``: put the capture rules into this network namespace, in one transaction.

It deliberately imports nothing heavy: it runs as the init container of every
pod and ends before anything else there starts.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from mesh_reference.agent import capture as capturing
from mesh_reference.agent import iptables, tproxy_rules
from mesh_reference.manual import Manual

RESOLVER = Path("/etc/resolv.conf")
LOCAL_SOURCE = "::6/128"
"""IPv4's 127.0.0.6 needs no address of its own; IPv6's loopback is one address only."""


@click.command(
    "iptables",
    cls=Manual,
    exit_codes={0: "the rules are in place, or printed", 1: "a flag has no such value, or the rules could not be put"},
    examples=("refmesh iptables -m REDIRECT -i '*' -b '*' -d 15090,15021,15020 --dry-run",),
)
@click.option("-p", "--envoy-port", default="15001", show_default=True, help="Port that outbound connections go to.")
@click.option("-z", "--inbound-capture-port", default="15006", show_default=True, help="Port that inbound ones go to.")
@click.option("-e", "--inbound-tunnel-port", default="15008", show_default=True, help="Inbound port never captured.")
@click.option("-u", "--proxy-uid", default="1337", show_default=True, help="Whose own traffic is left alone.")
@click.option("-g", "--proxy-gid", default="", help="As -u, for groups; -u's value by default.")
@click.option(
    "-m", "--istio-inbound-interception-mode", "mode", default="REDIRECT", show_default=True, help="REDIRECT or TPROXY."
)
@click.option("-i", "--istio-service-cidr", default="", help="Outbound CIDRs to capture; * = all.")
@click.option("-x", "--istio-service-exclude-cidr", default="", help="Outbound CIDRs to leave alone.")
@click.option("-b", "--istio-inbound-ports", default="", help="Inbound ports to capture; * = all.")
@click.option("-d", "--istio-local-exclude-ports", default="", help="Inbound ports to leave alone, with -b *.")
@click.option("-q", "--istio-outbound-ports", default="", help="Outbound ports to capture, whatever the address.")
@click.option("-o", "--istio-local-outbound-ports-exclude", default="", help="Outbound ports to leave alone.")
@click.option("-c", "--istio-exclude-interfaces", default="", help="Interfaces to leave alone.")
@click.option("-k", "--reroute-virtual-interfaces", default="", help="Interfaces whose inbound counts as outbound.")
@click.option(
    "--redirect-dns",
    is_flag=True,
    envvar="ISTIO_META_DNS_CAPTURE",
    help="Port 53 of the nameservers in /etc/resolv.conf goes to the agent.",
)
@click.option("--capture-all-dns", is_flag=True, help="With --redirect-dns: port 53 of every address.")
@click.option("--ipv6/--no-ipv6", default=None, help="IPv6 rules as well; default: when there is such an address.")
@click.option("-n", "--dry-run", is_flag=True, help="Print the iptables-restore input and change nothing.")
@click.option("--log_output_level", default="", hidden=True, help="Taken from Istio's argument list; has no effect.")
def command(
    *,
    envoy_port: str,
    inbound_capture_port: str,
    inbound_tunnel_port: str,
    proxy_uid: str,
    proxy_gid: str,
    mode: str,
    istio_service_cidr: str,
    istio_service_exclude_cidr: str,
    istio_inbound_ports: str,
    istio_local_exclude_ports: str,
    istio_outbound_ports: str,
    istio_local_outbound_ports_exclude: str,
    istio_exclude_interfaces: str,
    reroute_virtual_interfaces: str,
    redirect_dns: bool,
    capture_all_dns: bool,
    ipv6: bool | None,
    dry_run: bool,
    log_output_level: str,
) -> None:
    """Redirect this network namespace's TCP traffic to Envoy.

    Takes Istio's flags; lists are separated by commas. Run again, it changes nothing.
    """
    del log_output_level
    capture = capturing.Capture(
        proxy_port=envoy_port,
        inbound_port=inbound_capture_port,
        tunnel_port=inbound_tunnel_port,
        proxy_uids=capturing.split(proxy_uid),
        proxy_gids=capturing.split(proxy_gid or proxy_uid),
        mode=mode,
        outbound_ranges=capturing.split(istio_service_cidr),
        outbound_ranges_excluded=capturing.split(istio_service_exclude_cidr),
        inbound_ports=capturing.split(istio_inbound_ports),
        inbound_ports_excluded=capturing.split(istio_local_exclude_ports),
        outbound_ports=capturing.split(istio_outbound_ports),
        outbound_ports_excluded=capturing.split(istio_local_outbound_ports_exclude),
        excluded_interfaces=capturing.split(istio_exclude_interfaces),
        rerouted_interfaces=capturing.split(reroute_virtual_interfaces),
        dns_servers=_dns_servers(everything=capture_all_dns) if redirect_dns else (),
    )
    try:
        capturing.check(capture)
    except capturing.CaptureError as error:
        raise click.ClickException(str(error)) from error
    with_ipv6 = _has_ipv6() if ipv6 is None else ipv6
    for version, tool in ((4, "iptables"), (6, "ip6tables")):
        if version == 4 or with_ipv6:
            _apply(capture, version, tool, dry_run=dry_run)


def _apply(capture: capturing.Capture, version: int, tool: str, *, dry_run: bool) -> None:
    routes = tproxy_rules.routes(capture, version)
    if dry_run:
        # iptables-restore reads such a line as a comment.
        for arguments in routes or ():
            click.echo(f"# ip {' '.join(arguments)}")
        click.echo(iptables.restore_input(capture, version), nl=False)
        return
    if version == 6:
        _run("ip", "-6", "addr", "replace", LOCAL_SOURCE, "dev", "lo")
    if routes:
        _route(*routes)
    current = _run(f"{tool}-save")
    _run(f"{tool}-restore", "--noflush", "--wait", "30", feed=iptables.restore_input(capture, version, current))
    count = sum(len(rules) for rules in iptables.tables(capture, version).values())
    click.echo(f"{tool}: {count} rules in place")


def _route(rule: tuple[str, ...], route: tuple[str, ...]) -> None:
    family, what, _add, *selector = rule
    if not _run("ip", family, what, "show", *selector).strip():
        _run("ip", *rule)
    _run("ip", *route)


def _dns_servers(*, everything: bool) -> tuple[str, ...]:
    """Read the nameservers of this pod; a pod without any has no names to capture, and is told so."""
    if everything:
        return (capturing.ALL,)
    words = [line.split() for line in RESOLVER.read_text().splitlines()] if RESOLVER.exists() else []
    found = tuple(line[1].partition("%")[0] for line in words if len(line) > 1 and line[0] == "nameserver")
    if not found:
        raise click.ClickException(f"--redirect-dns: {RESOLVER} names no nameserver; use --capture-all-dns or drop it")
    return found


def _run(*argv: str, feed: str | None = None) -> str:
    try:
        done = subprocess.run(argv, input=feed, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise click.ClickException(f"{argv[0]} is not installed: Debian's package iptables has it") from error
    if done.returncode:
        raise click.ClickException(f"{' '.join(argv)} failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout


def _has_ipv6() -> bool:
    """Tell whether this namespace has an IPv6 address of global scope."""
    table = Path("/proc/net/if_inet6")
    return table.exists() and any(line.split()[3] == "00" for line in table.read_text().splitlines())
