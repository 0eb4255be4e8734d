"""Rules about a WorkloadEntry, and about the endpoints of a ServiceEntry, which have the same form (row VA:2754)."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import check_labels, check_port, fqdn_problem, is_ip, quote
from mesh_reference.validation.protocols import check_port_name

Json = Mapping[str, Any]

UNIX = "unix://"


def check_workload_entry(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``."""
    check_endpoint(out, ("spec",), spec, service_ports=None, domains=True)


def check_endpoint(
    out: Findings, path: Path, spec: Json, *, service_ports: AbstractSet[str] | None, domains: bool
) -> None:
    """One endpoint; ``service_ports`` = the names that its ServiceEntry declares, ``domains`` = may be a DNS name."""
    address = spec.get("address") or ""
    if not address:
        if not spec.get("network"):
            out.error((*path, "address"), "V61a", "address is required")
            return
        out.warning((*path, "address"), "V61b", f"address is unset with network {quote(spec['network'])}")
    unix = address.startswith(UNIX)
    if unix:
        check_unix_address(out, (*path, "address"), address.removeprefix(UNIX))
        if spec.get("ports"):
            out.error((*path, "ports"), "V61d", f"unix endpoint {address} must not include ports")
    elif address and not is_ip(address):
        if not domains:
            out.error((*path, "address"), "V61f", f"endpoint address {quote(address)} is not a valid IP address")
        else:
            check_address(out, (*path, "address"), address)
    check_endpoint_ports(out, path, spec, service_ports)
    check_labels(out, (*path, "labels"), spec.get("labels"))
    if unix and service_ports is not None and len(service_ports) != 1:
        out.error((*path, "address"), "V61h", "exactly 1 service port required for unix endpoints")


def check_address(out: Findings, path: Path, address: str) -> None:
    """An IP address or a domain name."""
    if not is_ip(address) and fqdn_problem(address):
        out.error(path, "V61e", f"endpoint address {quote(address)} is not a valid FQDN or an IP address")


def check_endpoint_ports(out: Findings, path: Path, spec: Json, service_ports: AbstractSet[str] | None) -> None:
    """Each port by a name that is declared, with a number that can be connected to."""
    for name, port in (spec.get("ports") or {}).items():
        here = (*path, "ports", name)
        if service_ports is not None and name not in service_ports:
            out.error(here, "V56p", f"endpoint port {int(port)} is not defined by the service entry")
        check_port_name(out, here, name, "V61g")
        check_port(out, here, int(port))


def check_unix_address(out: Findings, path: Path, address: str) -> None:
    """An absolute path of a file, or an abstract socket (@name)."""
    if not address:
        out.error(path, "V61c", "unix address must not be empty")
    elif not address.startswith("@") and (not address.startswith("/") or address.endswith("/")):
        out.error(path, "V61c", f"{address} is not an absolute path to a file")
