"""Rules about an AuthorizationPolicy as a whole, its sources and its operations (row V60, VA:1404)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh_reference.documents import Path
from mesh_reference.validation.authorization_values import (
    check_accounts,
    check_condition,
    check_filled,
    check_ips,
    check_path_templates,
    check_ports,
    check_trust_domains,
)
from mesh_reference.validation.findings import Findings
from mesh_reference.validation.policy_target import check_policy_target

Json = Mapping[str, Any]

_POSITIVE = (
    "principals",
    "requestPrincipals",
    "namespaces",
    "ipBlocks",
    "remoteIpBlocks",
    "serviceAccounts",
    "trustDomains",
)


def _both(*names: str) -> tuple[str, ...]:
    return (*names, *(f"not{name[0].upper()}{name[1:]}" for name in names))


_SOURCE = _both(*_POSITIVE)
_IDENTITY = _both("principals", "requestPrincipals", "namespaces", "serviceAccounts", "trustDomains")
_TCP_SOURCE = _both("principals", "namespaces", "ipBlocks", "remoteIpBlocks", "serviceAccounts")
_OPERATION = _both("ports", "methods", "paths", "hosts")
_CUSTOM_KEYS = ("source.namespace", "source.serviceAccount", "source.trustDomain", "source.principal")


def check_authorization_policy(out: Findings, namespace: str, metadata: Json, spec: Json) -> None:  # noqa: ARG001  one signature for all
    """All rules of ``spec``."""
    action = spec.get("action") or "ALLOW"
    check_policy_target(out, spec)
    _check_action(out, spec, action)
    for index, rule in enumerate(spec.get("rules") or ()):
        here: Path = ("spec", "rules", index)
        from_tcp = _check_sources(out, here, rule)
        to_tcp = _check_operations(out, here, rule)
        for number, condition in enumerate(rule.get("when") or ()):
            check_condition(out, (*here, "when", number), condition)
        if action == "DENY" and ((to_tcp is None and from_tcp is False) or to_tcp is False):
            out.warning(
                here,
                "V63v",
                "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the use "
                "of only HTTP attributes in a DENY rule; it is recommended to explicitly specify the port",
            )


def _check_action(out: Findings, spec: Json, action: str) -> None:
    if action in {"CUSTOM", "DENY"} and not spec.get("rules"):
        out.error(
            ("spec", "rules"),
            "V63a",
            f"{action} action without `rules` is meaningless as it will never be triggered, add an empty rule `{{}}` "
            "if you want it be triggered for every request",
        )
    provider = spec.get("provider")
    if action == "CUSTOM":
        if spec.get("rules") and not (provider or {}).get("name"):
            out.error(("spec", "provider"), "V63b", "`provider.name` must not be empty")
        for index, rule in enumerate(spec.get("rules") or ()):
            _check_custom(out, ("spec", "rules", index), rule)
    elif provider is not None:
        out.error(("spec", "provider"), "V63d", f"`provider` must not be with non CUSTOM action, found {action}")


def _check_custom(out: Findings, path: Path, rule: Json) -> None:
    """What an external authorizer is not asked about: it sees the request, not the peer."""
    words = "is currently not supported with CUSTOM action"
    for index, entry in enumerate(rule.get("from") or ()):
        for name in _IDENTITY:
            if (entry.get("source") or {}).get(name):
                shown = f"From.{name[0].upper()}{name[1:]}"
                out.error((*path, "from", index, "source", name), "V63c", f"{shown} {words}")
    for index, condition in enumerate(rule.get("when") or ()):
        key = condition.get("key") or ""
        if key in _CUSTOM_KEYS or key.startswith("request.auth."):
            out.error((*path, "when", index, "key"), "V63c", f"{key} {words}")


def _check_sources(out: Findings, path: Path, rule: Json) -> bool | None:
    """Whether a source can be judged on a TCP connection; None = there is no source."""
    sources = rule.get("from")
    if sources is not None and not sources:
        message = "`from` must not be empty: it counts as left out, and every source matches"
        out.warning((*path, "from"), "V63e", message)
    tcp: bool | None = None
    for index, entry in enumerate(sources or ()):
        here, source = (*path, "from", index, "source"), entry.get("source")
        if source is None:
            out.error(here, "V63g", "`from.source` must not be nil")
            continue
        tcp = bool(tcp) or any(source.get(name) is not None for name in _TCP_SOURCE)
        peers = any(source.get(name) for name in _both("principals", "namespaces"))
        if peers and any(source.get(name) for name in _both("serviceAccounts")):
            message = "cannot set serviceAccounts with namespaces or principals"
            out.error(here, "V63f", message)
        if not any(source.get(name) for name in _SOURCE):
            out.error(here, "V63h", "`from.source` must not be empty")
        _check_source_values(out, here, source)
    return tcp


def _check_source_values(out: Findings, path: Path, source: Json) -> None:
    for name in _SOURCE:
        here, values = (*path, name), source.get(name) or ()
        if name.lower().endswith("ipblocks"):
            check_ips(out, here, values)
        elif name.lower().endswith("serviceaccounts"):
            check_accounts(out, here, values)
        elif name.lower().endswith("trustdomains"):
            check_trust_domains(out, here, values)
        else:
            check_filled(out, here, values)


def _check_operations(out: Findings, path: Path, rule: Json) -> bool | None:
    """Whether an operation can be judged on a TCP connection; None = there is no operation."""
    operations = rule.get("to")
    if operations is not None and not operations:
        message = "`to` must not be empty: it counts as left out, and every operation matches"
        out.warning((*path, "to"), "V63i", message)
    tcp: bool | None = None
    for index, entry in enumerate(operations or ()):
        here, operation = (*path, "to", index, "operation"), entry.get("operation")
        if operation is None:
            out.error(here, "V63j", "`to.operation` must not be nil")
            continue
        tcp = bool(tcp) or any(operation.get(name) is not None for name in _both("ports"))
        if not any(operation.get(name) for name in _OPERATION):
            out.error(here, "V63k", "`to.operation` must not be empty")
        for name in _OPERATION:
            values = operation.get(name) or ()
            if name in {"ports", "notPorts"}:
                check_ports(out, (*here, name), values)
                continue
            check_filled(out, (*here, name), values)
            if name in {"paths", "notPaths"}:
                check_path_templates(out, (*here, name), values)
    return tcp
