"""``refmesh iptables``: put the capture rules into this network namespace, in one transaction.

It deliberately imports nothing heavy: it runs as the init container of every
pod and ends before anything else there starts.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import click

from mesh_reference.agent import iptables

LOCAL_SOURCE = "::6/128"
"""IPv4's 127.0.0.6 needs no address of its own; IPv6's loopback is one address only."""


@click.command("iptables")
@click.option("-p", "--envoy-port", default="15001", show_default=True, help="Port that outbound connections go to.")
@click.option("-z", "--inbound-capture-port", default="15006", show_default=True, help="Port that inbound ones go to.")
@click.option("-e", "--inbound-tunnel-port", default="15008", show_default=True, help="Inbound port never captured.")
@click.option("-u", "--proxy-uid", default="1337", show_default=True, help="Whose own traffic is left alone.")
@click.option("-g", "--proxy-gid", default="", help="As -u, for groups; -u's value by default.")
@click.option("-m", "--istio-inbound-interception-mode", "mode", default="REDIRECT", show_default=True)
@click.option("-i", "--istio-service-cidr", default="", help="Outbound CIDRs to capture; * = all.")
@click.option("-x", "--istio-service-exclude-cidr", default="", help="Outbound CIDRs to leave alone.")
@click.option("-b", "--istio-inbound-ports", default="", help="Inbound ports to capture; * = all.")
@click.option("-d", "--istio-local-exclude-ports", default="", help="Inbound ports to leave alone, with -b *.")
@click.option("-q", "--istio-outbound-ports", default="", help="Outbound ports to capture, whatever the address.")
@click.option("-o", "--istio-local-outbound-ports-exclude", default="", help="Outbound ports to leave alone.")
@click.option("-c", "--istio-exclude-interfaces", default="", help="Interfaces to leave alone.")
@click.option("-k", "--reroute-virtual-interfaces", default="", help="Interfaces whose inbound counts as outbound.")
@click.option("--redirect-dns", is_flag=True, envvar="ISTIO_META_DNS_CAPTURE", help="Not supported: an error.")
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
    ipv6: bool | None,
    dry_run: bool,
    log_output_level: str,
) -> None:
    """Redirect this network namespace's TCP traffic to Envoy.

    Takes Istio's flags; lists are separated by commas. Run again, it changes nothing.
    """
    del log_output_level
    if redirect_dns:
        raise click.ClickException("DNS capture is not supported: drop --redirect-dns and unset ISTIO_META_DNS_CAPTURE")
    capture = iptables.Capture(
        proxy_port=envoy_port,
        inbound_port=inbound_capture_port,
        tunnel_port=inbound_tunnel_port,
        proxy_uids=iptables.split(proxy_uid),
        proxy_gids=iptables.split(proxy_gid or proxy_uid),
        mode=mode,
        outbound_ranges=iptables.split(istio_service_cidr),
        outbound_ranges_excluded=iptables.split(istio_service_exclude_cidr),
        inbound_ports=iptables.split(istio_inbound_ports),
        inbound_ports_excluded=iptables.split(istio_local_exclude_ports),
        outbound_ports=iptables.split(istio_outbound_ports),
        outbound_ports_excluded=iptables.split(istio_local_outbound_ports_exclude),
        excluded_interfaces=iptables.split(istio_exclude_interfaces),
        rerouted_interfaces=iptables.split(reroute_virtual_interfaces),
    )
    try:
        iptables.check(capture)
    except iptables.CaptureError as error:
        raise click.ClickException(str(error)) from error
    with_ipv6 = _has_ipv6() if ipv6 is None else ipv6
    for version, tool in ((4, "iptables"), (6, "ip6tables")):
        if version == 4 or with_ipv6:
            _apply(capture, version, tool, dry_run=dry_run)


def _apply(capture: iptables.Capture, version: int, tool: str, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(iptables.restore_input(capture, version), nl=False)
        return
    if version == 6:
        _run("ip", "-6", "addr", "replace", LOCAL_SOURCE, "dev", "lo")
    current = _run(f"{tool}-save", "-t", "nat")
    _run(f"{tool}-restore", "--noflush", "--wait", "30", feed=iptables.restore_input(capture, version, current))
    click.echo(f"{tool}: {len(iptables.rules(capture, version))} rules in place")


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
