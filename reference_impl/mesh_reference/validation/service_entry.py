"""Rules about a ServiceEntry (row V56); its endpoints' own rules are in `workload_entry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation import protocols
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import (
    check_export_to,
    check_label_selector,
    check_labels,
    check_partial_wildcard,
    check_port,
    check_subnet,
    fqdn_problem,
    wildcard_domain_problem,
)
from mesh_reference.validation.workload_entry import check_address, check_endpoint, check_endpoint_ports

Json = Mapping[str, Any]

_DNS = frozenset({"DNS", "DNS_ROUND_ROBIN"})


def check_service_entry(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:
    """All rules of ``spec``; ``namespace`` is the resource's own."""
    resolution = spec.get("resolution") or "NONE"
    check_label_selector(out, ("spec", "workloadSelector"), spec.get("workloadSelector"), "service entry")
    if spec.get("workloadSelector") is not None and spec.get("endpoints"):
        message = "only one of WorkloadSelector or Endpoints is allowed in Service Entry"
        out.error(("spec", "endpoints"), "V56e", message)
    _check_hosts(out, spec, resolution)
    for index, address in enumerate(spec.get("addresses") or ()):
        check_subnet(out, ("spec", "addresses", index), address)
        if "/" in address and resolution not in {"NONE", "STATIC"}:
            message = "CIDR addresses are allowed only for NONE/STATIC resolution types"
            out.error(("spec", "addresses", index), "V56j", message)
    _check_ports(out, spec, metadata, resolution)
    if resolution == "DYNAMIC_DNS":
        _check_dynamic(out, spec, metadata)
    else:
        _check_endpoints(out, spec, resolution)
    _check_many_hosts(out, spec, resolution)
    check_export_to(out, namespace, spec.get("exportTo"), has_selector=False, service_entry=True)


def _check_hosts(out: Findings, spec: Json, resolution: str) -> None:
    if not spec.get("hosts"):
        out.error(("spec", "hosts"), "V56a", "service entry must have at least one host")
    for index, host in enumerate(spec.get("hosts") or ()):
        here = ("spec", "hosts", index)
        if host == "*":
            out.error(here, "V56b", f"invalid host {host}")
            continue
        problem = wildcard_domain_problem(host)
        if problem:
            out.error(here, "V56c", problem)
        if resolution != "DYNAMIC_DNS":
            check_partial_wildcard(out, here, host, "V56d", warn=True)


def _check_ports(out: Findings, spec: Json, metadata: Json, resolution: str) -> None:
    names: set[str] = set()
    numbers: set[int] = set()
    own_address = bool(spec.get("addresses"))
    for index, port in enumerate(spec.get("ports") or ()):
        here = ("spec", "ports", index)
        name, number, protocol = port.get("name") or "", int(port.get("number") or 0), port.get("protocol") or ""
        if name in names:
            out.error((*here, "name"), "V56f", f"service entry port name already defined ({name})")
        if number in numbers:
            out.error((*here, "number"), "V56g", f"service entry port already defined ({number})")
        names.add(name)
        numbers.add(number)
        if port.get("targetPort") is not None:
            check_port(out, (*here, "targetPort"), int(port["targetPort"]))
        if not own_address and protocol in {"", "TCP"} and not _gets_an_address(metadata, resolution):
            out.warning(
                here,
                "V56k",
                "addresses are required for ports serving TCP (or unset) protocol "
                "when IP Autoallocation is not enabled",
            )
        protocols.check_port_name(out, (*here, "name"), name, "V56h")
        protocols.check_protocol(out, (*here, "protocol"), protocol, "V56i")
        check_port(out, (*here, "number"), number)


def _gets_an_address(metadata: Json, resolution: str) -> bool:
    """Whether Istio would give the entry an address of its own."""
    wish = str((metadata.get("labels") or {}).get("networking.istio.io/enable-autoallocate-ip") or "")
    return resolution != "NONE" and wish.lower() != "false"


def _check_endpoints(out: Findings, spec: Json, resolution: str) -> None:
    path: Path = ("spec", "endpoints")
    endpoints: Sequence[Json] = spec.get("endpoints") or ()
    names = {port.get("name") or "" for port in spec.get("ports") or ()}
    if resolution == "NONE":
        if endpoints:
            out.error(path, "V56l", "no endpoints should be provided for resolution type none")
        if spec.get("workloadSelector") is not None:
            message = "workloadSelector should not be set when resolution mode is NONE"
            out.warning(("spec", "workloadSelector"), "V56m", message)
    elif resolution == "STATIC":
        for index, endpoint in enumerate(endpoints):
            check_endpoint(out, (*path, index), endpoint, service_ports=names, domains=False)
    elif resolution in _DNS:
        _check_dns(out, spec, resolution)
        for index, endpoint in enumerate(endpoints):
            here = (*path, index)
            check_address(out, (*here, "address"), endpoint.get("address") or "")
            check_labels(out, (*here, "labels"), endpoint.get("labels"))
            check_endpoint_ports(out, here, endpoint, names)


def _check_dns(out: Findings, spec: Json, resolution: str) -> None:
    endpoints, hosts = spec.get("endpoints") or (), spec.get("hosts") or ()
    if not endpoints:
        problem, at = next(((found, n) for n, host in enumerate(hosts) if (found := fqdn_problem(host))), ("", 0))
        if problem:
            out.error(
                ("spec", "hosts", at),
                "V56n",
                "hosts must be FQDN or contain only prefix wildcards if no endpoints are provided for resolution "
                f"mode {resolution}, {problem}",
            )
    if resolution == "DNS_ROUND_ROBIN" and len(endpoints) > 1:
        message = f"there must only be 0 or 1 endpoint for resolution mode {resolution}"
        out.error(("spec", "endpoints"), "V56o", message)
    tcp = any(protocols.is_tcp(port.get("protocol") or "") for port in spec.get("ports") or ())
    if spec.get("addresses") and len(hosts) > 1 and tcp:
        message = "service entry can not have more than one host specified simultaneously with address and tcp port"
        out.warning(("spec", "hosts"), "V56q", message)


def _check_dynamic(out: Findings, spec: Json, metadata: Json) -> None:
    for index, host in enumerate(spec.get("hosts") or ()):
        if not host.startswith("*"):
            message = "host must be wildcarded for resolution mode DYNAMIC_DNS"
            out.error(("spec", "hosts", index), "V56r", message)
    for name in ("addresses", "endpoints"):
        if spec.get(name):
            out.error(("spec", name), "V56s", f"{name} cannot be set for resolution type DYNAMIC_DNS")
    for index, port in enumerate(spec.get("ports") or ()):
        if (port.get("protocol") or "").lower() not in protocols.DYNAMIC:
            message = "only HTTP, TLS, GRPC, and HTTP2 protocols are supported for resolution type DYNAMIC_DNS"
            out.error(("spec", "ports", index, "protocol"), "V56t", message)
    waypoint = str((metadata.get("labels") or {}).get("istio.io/use-waypoint") or "")
    if spec.get("location") == "MESH_INTERNAL" and waypoint and waypoint.lower() != "none":
        message = "location MESH_INTERNAL with resolution type DYNAMIC_DNS is not supported when using waypoints"
        out.error(("spec", "location"), "V56u", message)


def _check_many_hosts(out: Findings, spec: Json, resolution: str) -> None:
    """Plain TCP has nothing by which hosts could be told apart; with NONE the hosts do not count."""
    if resolution == "NONE" or len(spec.get("hosts") or ()) < 2:
        return
    for index, port in enumerate(spec.get("ports") or ()):
        protocol = port.get("protocol") or ""
        if not protocols.is_http(protocol) and not protocols.is_tls(protocol):
            message = "multiple hosts provided with non-HTTP, non-TLS ports"
            out.error(("spec", "ports", index), "V56w", message)
            return
