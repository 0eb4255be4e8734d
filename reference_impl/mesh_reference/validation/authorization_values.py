"""Rules about the values that an AuthorizationPolicy compares: addresses, ports, accounts, path templates, attributes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.names import quote

Json = Mapping[str, Any]

_LITERAL = re.compile(r"[-a-zA-Z0-9._~%!$&'()+,;:@=]+")
_PORT = re.compile(r"[0-9]+", re.ASCII)
_PLAIN = frozenset(
    {
        "source.namespace",
        "source.principal",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "connection.sni",
    }
)
_KEYED = ("request.headers", "request.auth.claims", "experimental.envoy.filters.")
_REPLACED = {
    "destination.namespace": "the metadata.namespace",
    "destination.labels": "the workload selector",
}


def check_filled(out: Findings, path: Path, values: Sequence[str]) -> None:
    """No value may be empty."""
    for index, value in enumerate(values):
        if value == "":
            out.error((*path, index), "V63l", f"empty value not allowed, found in {path[-1]}")


def check_ips(out: Findings, path: Path, values: Sequence[str]) -> None:
    """Addresses and CIDR blocks."""
    for index, value in enumerate(values):
        try:
            if "/" in value:
                ipaddress.ip_network(value, strict=False)
            else:
                ipaddress.ip_address(value)
        except ValueError:
            words = f"bad CIDR range ({value})" if "/" in value else f"bad IP address ({value})"
            out.error((*path, index), "V63m", words)


def check_ports(out: Findings, path: Path, values: Sequence[str]) -> None:
    """Port numbers as text, 0 among them."""
    for index, value in enumerate(values):
        if not _PORT.fullmatch(value) or int(value) > 65535:
            out.error((*path, index), "V63n", f"bad port ({value}): want a number from 0 to 65535")


def check_accounts(out: Findings, path: Path, values: Sequence[str]) -> None:
    """``account`` or ``namespace/account``, without wildcards."""
    for index, value in enumerate(values):
        here = (*path, index)
        if value == "":
            out.error(here, "V63l", f"empty value not allowed, found in {path[-1]}")
        elif "*" in value:
            out.error(here, "V63o", f"wildcard not allowed, found in {path[-1]}")
        elif value.count("/") > 1 or "" in value.split("/"):
            message = (
                f"expected format 'serviceAccount' or 'namespace/serviceAccount', found {quote(value)} in {path[-1]}"
            )
            out.error(here, "V63p", message)


def check_wildcards(out: Findings, path: Path, values: Sequence[str]) -> None:
    """At most one ``*``, at the start or the end."""
    check_filled(out, path, values)
    for index, value in enumerate(values):
        if value.count("*") > 1:
            message = f"at most one wildcard is allowed, found in {path[-1]}: {quote(value)}"
            out.error((*path, index), "V63q", message)
        elif "*" in value.strip("*"):
            message = f"wildcard is only allowed at the start or end, found in {path[-1]}: {quote(value)}"
            out.error((*path, index), "V63q", message)


def check_trust_domains(out: Findings, path: Path, values: Sequence[str]) -> None:
    """As `check_wildcards`, and without a slash."""
    check_wildcards(out, path, values)
    for index, value in enumerate(values):
        if "/" in value:
            message = f"trust domain must not contain '/', found in {path[-1]}: {quote(value)}"
            out.error((*path, index), "V63r", message)


def check_path_templates(out: Findings, path: Path, values: Sequence[str]) -> None:
    """``{*}`` for one segment, ``{**}`` for the rest, and only there; braces nowhere else."""
    for index, value in enumerate(values):
        problem = _template_problem(value)
        if problem:
            message = f"invalid or unsupported path {value.strip('/')}, found in {path[-1]}. {problem}"
            out.error((*path, index), "V63s", message)


def _template_problem(value: str) -> str:
    templated = "{*}" in value or "{**}" in value
    rest_seen = False
    for segment in value.strip("/").split("/"):
        if segment in {"{*}", "{**}"}:
            if rest_seen:
                return "{**} is not the last operator"
            rest_seen = segment == "{**}"
        elif "{" in segment or "}" in segment:
            return "Contains '{' or '}' beyond a supported path template"
        elif templated and not _LITERAL.fullmatch(segment):
            return f"Contains segment {segment} with invalid string literal"
    return ""


def check_condition(out: Findings, path: Path, condition: Json) -> None:
    """One entry of ``when``: a known attribute, and values of its form."""
    key = condition.get("key") or ""
    if not key:
        out.error((*path, "key"), "V63t", "`key` must not be empty")
        return
    if not condition.get("values") and not condition.get("notValues"):
        message = f"at least one of `values` or `notValues` must be set for key {key}"
        out.error(path, "V63t", message)
        return
    problem = _key_problem(key)
    if problem:
        out.error((*path, "key"), "V63u", problem)
        return
    for name in ("values", "notValues"):
        here, values = (*path, name), condition.get(name) or ()
        if key in {"source.ip", "remote.ip", "destination.ip"}:
            check_ips(out, here, values)
        elif key == "destination.port":
            check_ports(out, here, values)
        elif key == "source.serviceAccount":
            check_accounts(out, here, values)
        elif key == "source.trustDomain":
            check_wildcards(out, here, values)
        else:
            check_filled(out, here, values)


def _key_problem(key: str) -> str:
    if key in _PLAIN or key in {"source.ip", "remote.ip", "destination.ip", "destination.port"}:
        return ""
    if key in {"source.serviceAccount", "source.trustDomain"}:
        return ""
    if key.startswith(_KEYED):
        opened = key.find("[")
        sound = key.endswith("]") and 0 < opened < len(key) - 2
        return "" if sound else f"bad key ({key}): should have format a[b]"
    for replaced, by in _REPLACED.items():
        if key == replaced or (replaced == "destination.labels" and key.startswith(replaced)):
            return f"attribute {key} is replaced by {by}"
    if key in {"destination.name", "destination.user"}:
        return f"deprecated attribute {key}: only supported in v1alpha1"
    return f"unknown attribute: {key}"
