"""Rules about names: hosts, DNS labels, ports, labels, gateways, namespaces, addresses.

Each ``*_problem`` function answers with Istio's sentence, or with "" when all is
well; the ``check_*`` functions report under a path and a rule.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.model.schema.duration import MILLISECOND, parse_duration
from mesh_reference.validation.findings import Findings

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?"
_QUALIFIED = r"(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_DNS_LABEL = re.compile(_LABEL)
_WILDCARD_LABEL = re.compile(rf"\*|(?:\*|\*-)?{_LABEL}")
_LABEL_KEY = re.compile(rf"({_LABEL}(?:\.{_LABEL})*/)?({_QUALIFIED})")
_LABEL_VALUE = re.compile(rf"(?:{_QUALIFIED})?")
_ALL_NUMERIC = re.compile(r"[-+]?[0-9]+")

_SNI_FORMAT = "outbound_.<port>_._.<hostname>"


def quote(value: Any) -> str:
    """The value in double quotes, as Go's ``%q`` shows text."""
    return json.dumps(value, ensure_ascii=False)


def is_dns_label(text: str) -> bool:
    """An RFC 1123 label (either case), at most 63 characters."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def fqdn_problem(name: str) -> str:
    """Why the name is no fully qualified domain name."""
    return _length_problem(name) or _labels_problem(name)


def wildcard_domain_problem(name: str) -> str:
    """Why the name is no domain name, where a wildcard may stand in its first label."""
    problem = _length_problem(name)
    if problem:
        return problem
    first, dot, rest = name.partition(".")
    if len(first) > 63 or not _WILDCARD_LABEL.fullmatch(first):
        return f"domain name {quote(name)} invalid (label {quote(first)} invalid)"
    return _labels_problem(rest) if dot else ""


def gateway_domain_problem(name: str, *, sni: bool) -> str:
    """As `wildcard_domain_problem`, and the SNI names that mTLS passthrough makes are allowed too."""
    problem = _length_problem(name)
    if problem or not (sni and name.startswith("outbound_")):
        return problem or wildcard_domain_problem(name)
    parts = name.split("_")
    if len(parts) < 4:
        return f"domain name {name} invalid, should follow '{_SNI_FORMAT}' format"
    port, hostname = parts[1].strip("."), parts[3].strip(".")
    for part, wanted in ((port, r"[0-9]"), (hostname, r"[a-zA-Z]")):
        if not re.search(wanted, part):
            return (
                f"domain name {quote(name)} invalid (label {quote(part)} invalid). should follow {_SNI_FORMAT} format"
            )
    return ""


def _length_problem(name: str) -> str:
    if len(name) > 255:
        return f"domain name {quote(name)} too long (max 255)"
    return "" if name else "empty domain name not allowed"


def _labels_problem(domain: str) -> str:
    labels = domain.split(".")
    if _ALL_NUMERIC.fullmatch(labels[-1]):
        return f"domain name {quote(domain)} invalid (top level domain {quote(labels[-1])} cannot be all-numeric)"
    for index, label in enumerate(labels):
        if index == len(labels) - 1 and label == "":
            return ""
        if not is_dns_label(label):
            return f"domain name {quote(domain)} invalid (label {quote(label)} invalid)"
    return ""


def host_matches(one: str, other: str) -> bool:
    """Whether two hosts, wildcards understood, can name the same one."""
    if one.startswith("*"):
        if other.startswith("*") and len(one) >= len(other):
            return one[1:].endswith(other[1:])
        return other.removeprefix("*").endswith(one[1:])
    return one.endswith(other[1:]) if other.startswith("*") else one == other


def host_is_subset(one: str, other: str) -> bool:
    """Whether every name that ``one`` covers is covered by ``other``."""
    if one.startswith("*"):
        return other.startswith("*") and len(one) >= len(other) and one[1:].endswith(other[1:])
    return one.endswith(other[1:]) if other.startswith("*") else one == other


def check_port(out: Findings, path: Path, port: int, rule: str = "V17") -> None:
    """A port that can be connected to, 0 excluded."""
    if not 1 <= port <= 65535:
        out.error(path, rule, f"port number must be in the range 1..65535 (it is {port})")


def check_duration(out: Findings, path: Path, text: str | None) -> None:
    """At least one millisecond, and no finer than that (V27)."""
    if text is None:
        return
    length = parse_duration(text)
    if length < MILLISECOND:
        out.error(path, "V27a", "duration must be greater than 1ms")
    elif length % MILLISECOND:
        out.error(path, "V27b", "only durations to ms precision are supported")


def check_labels(out: Findings, path: Path, labels: Mapping[str, str] | None) -> None:
    """Keys and values as Kubernetes wants labels."""
    for key, value in (labels or {}).items():
        match = _LABEL_KEY.fullmatch(key)
        if not match:
            out.error((*path, key), "labels", f"invalid tag key: {quote(key)}")
        elif len(match[1] or "") > 254:
            out.error((*path, key), "labels", f"invalid tag key: {quote(key)} (DNS prefix is too long)")
        elif len(match[2]) > 63:
            out.error((*path, key), "labels", f"invalid tag key: {quote(key)} (name is too long)")
        if not _LABEL_VALUE.fullmatch(value):
            out.error((*path, key), "labels", f"invalid tag value: {quote(value)}")


def check_subnet(out: Findings, path: Path, subnet: str) -> None:
    """A CIDR block or a plain address."""
    if subnet.count("/") == 1:
        try:
            ipaddress.ip_network(subnet, strict=False)
        except ValueError:
            out.error(path, "subnet", f"{subnet} is not a valid CIDR block")
    elif not is_ip(subnet):
        out.error(path, "subnet", f"{subnet} is not a valid IP")


def check_gateway_names(out: Findings, path: Path, names: Sequence[str] | None) -> None:
    """``namespace/name``, or a short or legacy dotted name (V40)."""
    for index, name in enumerate(names or ()):
        here = (*path, index)
        namespace, slash, gateway = name.partition("/")
        if not slash:
            if "." in name:
                parts = name.split(".")
                out.warning(
                    here,
                    "V40b",
                    f"using legacy gatewayName format {quote(name)}; prefer the <namespace>/<name> format: "
                    f"{quote(f'{parts[1]}/{parts[0]}')}",
                )
            problem = fqdn_problem(name)
            if problem:
                out.error(here, "V40a", problem)
            continue
        if not namespace or not gateway:
            out.error(here, "V40a", "config namespace and gateway name cannot be empty")
            continue
        if not is_dns_label(namespace):
            out.error(here, "V40a", f"invalid value for namespace: {quote(namespace)}")
        if not is_dns_label(gateway):
            out.error(here, "V40a", f"invalid value for gateway name: {quote(gateway)}")


def check_namespaced_host(out: Findings, path: Path, host: str, *, gateway: bool) -> None:
    """``namespace/host`` of a Gateway's server or a Sidecar's egress; short names are refused."""
    namespace, slash, name = host.partition("/")
    if not slash:
        if not gateway:
            out.error(path, "V57x", "host must be of form namespace/dnsName")
            return
        name = host
    elif not namespace or not name:
        out.error(path, "V57y", "config namespace and dnsName in host entry cannot be empty")
        return
    elif not _is_namespace(namespace if gateway else namespace.removeprefix("~")) and (gateway or namespace != "~"):
        where = "gateway" if gateway else "sidecar"
        out.error(path, "V57z", f"invalid namespace value {quote(namespace)} in {where}")
    if name != "*" and "." not in name:
        out.error(path, "V58z", "short names (non FQDN) are not allowed")
    problem = wildcard_domain_problem(name)
    if problem and not (gateway and is_ip(name)):
        out.error(path, "V2h", problem)
    check_partial_wildcard(out, path, name, "V2p", warn=False)


def _is_namespace(text: str) -> bool:
    return text in {"*", "."} or is_dns_label(text)


def check_partial_wildcard(out: Findings, path: Path, host: str, rule: str, *, warn: bool) -> None:
    """A wildcard stands for whole labels: ``*.com``, never ``*a.com``."""
    if "*" in host and len(host) != 1 and not host.startswith("*."):
        (out.warning if warn else out.error)(path, rule, f"partial wildcard {quote(host)} not allowed")


def check_export_to(
    out: Findings,
    namespace: str,
    export_to: Sequence[str] | None,
    *,
    has_selector: bool,
    service_entry: bool = False,
) -> None:
    """Each entry ``.``, ``*`` or a namespace, none twice, ``*`` alone (V54, V55); ``~`` for a ServiceEntry, alone."""
    path: Path = ("spec", "exportTo")
    seen: set[str] = set()
    for index, entry in enumerate(export_to or ()):
        here = (*path, index)
        key = namespace if entry == "." else entry
        if key in seen:
            same = f" for entry {entry}" if key == entry else f": . and current namespace {namespace}"
            out.error(here, "V55a", f"duplicate entries in exportTo{same}")
        elif key == "~" and service_entry:
            seen.add(key)
        elif key == "~":
            out.error(here, "V55c", "exportTo ~ (none) is not allowed for Istio configuration objects")
        elif key != "*" and not is_dns_label(key):
            out.error(here, "V55d", "only .,*, or a valid DNS 1123 label is allowed as exportTo entry")
        else:
            seen.add(key)
    if has_selector and seen:
        if namespace not in seen:
            out.error(
                path, "V54a", "destination rule with workload selector cannot have exportTo beyond current namespace"
            )
        elif len(seen) > 1:
            out.error(path, "V54b", "destination rule with workload selector cannot have multiple entries in exportTo")
    if "*" in seen and len(export_to or ()) > 1:
        out.error(path, "V55b", "cannot have both public (*) and non-public exportTo values for a resource")
    if "~" in seen and len(export_to or ()) > 1:
        out.error(path, "V55e", "cannot export service entry to no one (~) and someone")


def check_label_selector(out: Findings, path: Path, selector: Mapping[str, Any] | None, kind: str) -> None:
    """As `check_workload_selector`, in the form of ServiceEntry and Sidecar, which say ``labels``."""
    if selector is None:
        return
    labels = selector.get("labels") or {}
    _check_selected(out, (*path, "labels"), labels)
    if not labels:
        message = f"{kind}: workload selector specified without labels, will be applied to all services in namespace"
        out.warning(path, "V60c", message)


def check_workload_selector(out: Findings, path: Path, selector: Mapping[str, Any] | None) -> None:
    """Labels without empty keys and without wildcards (V60)."""
    if selector is None:
        return
    labels = selector.get("matchLabels") or {}
    _check_selected(out, (*path, "matchLabels"), labels)
    if not labels:
        out.warning(path, "V60c", "workload selector specified without labels")


def _check_selected(out: Findings, path: Path, labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        if not key:
            out.error(path, "V60a", "empty key is not supported in selector")
        if "*" in key or "*" in value:
            out.error((*path, key), "V60b", "wildcard is not supported in selector")
