"""The annotations and labels that a pod may use to steer injection, and the checks of their values.

A bad value is an error of the admission (row §2.4.6): all of them are told at once.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

from mesh_reference.errors import MeshError
from mesh_reference.injection.booleans import parse_bool
from mesh_reference.injection.proxy_config import ProxyConfigError, parse_proxy_config

INJECT = "sidecar.istio.io/inject"
STATUS = "sidecar.istio.io/status"
OVERRIDES = "proxy.istio.io/overrides"
PROXY_CONFIG = "proxy.istio.io/config"
TEMPLATES = "inject.istio.io/templates"
INTERCEPTION_MODE = "sidecar.istio.io/interceptionMode"
BIND_LOW_PORTS = "sidecar.istio.io/capNetBindService"
NATIVE_SIDECAR = "sidecar.istio.io/nativeSidecar"
STATUS_PORT = "status.sidecar.istio.io/port"
REWRITE_PROBES = "sidecar.istio.io/rewriteAppHTTPProbers"
MERGE_METRICS = "prometheus.istio.io/merge-metrics"
TRAFFIC = "traffic.sidecar.istio.io/"
REROUTE_INTERFACES = "istio.io/reroute-virtual-interfaces"

_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]*")
_QUANTITY = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?")


SIDECAR, GATEWAY = "sidecar", "gateway"
_PROXYLESS = frozenset({"grpc-simple", "grpc-agent"})


class AnnotationError(MeshError):
    """Annotations that the injector refuses; ``str()`` names each, its value and what is allowed."""


def check_annotations(annotations: Mapping[str, str]) -> None:
    """Raises `AnnotationError` when the value of a known annotation is out of range."""
    problems = []
    for name, value in annotations.items():
        check = _CHECKS.get(name)
        problem = check(value) if check else ""
        if problem:
            problems.append(f"invalid value '{value}' for annotation '{name}': {problem}")
    if problems:
        raise AnnotationError("; ".join(problems))


def ineffective(annotations: Mapping[str, str]) -> list[str]:
    """A warning for each annotation that Istio acts on and this mesh does not."""
    return [f"annotation {name} has no effect in this mesh" for name in annotations if name in _WITHOUT_EFFECT]


def _interception_mode(value: str) -> str:
    return (
        ""
        if value in {"REDIRECT", "TPROXY", "NONE"}
        else f"interceptionMode invalid, use REDIRECT,TPROXY,NONE: {value}"
    )


def _port(value: str) -> str:
    text = value.strip()
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return ""
    return f"failed parsing port '{value}': want a number in 0..65535"


def _status_port(value: str) -> str:
    problem = _port(value)
    return f"excludeInboundPorts invalid: {problem}" if problem else ""


def _ports(what: str, *, star: bool = False) -> Callable[[str], str]:
    def check(value: str) -> str:
        if star and value == "*":
            return ""
        for part in value.strip().split(",") if value.strip() else ():
            problem = _port(part)
            if problem:
                return f"{what} invalid: {problem}"
        return ""

    return check


def _ranges(what: str, *, star: bool = False) -> Callable[[str], str]:
    def check(value: str) -> str:
        if star and value == "*":
            return ""
        for part in value.split(",") if value else ():
            try:
                ipaddress.ip_network(part, strict=False)
            except ValueError as problem:
                return f"{what} invalid: failed parsing cidr '{part}': {problem}"
            if "/" not in part:
                return f"{what} invalid: failed parsing cidr '{part}': no '/'"
        return ""

    return check


def _interfaces(value: str) -> str:
    for part in value.split(",") if value else ():
        name = part.strip()
        if not name:
            return "empty interface name"
        if len(name) > 15:
            return f'interface name "{name}" too long (max 15 chars)'
        if not _INTERFACE.fullmatch(name):
            return f'interface name "{name}" contains invalid characters'
    return ""


def _uint32(value: str) -> str:
    return "" if value.isascii() and value.isdigit() and int(value) < 2**32 else "want a whole number in 0..4294967295"


def _boolean(value: str) -> str:
    return "want true or false" if parse_bool(value) is None else ""


def _quantity(value: str) -> str:
    return "" if _QUANTITY.fullmatch(value) else "want a quantity such as 100m, 1.5 or 128Mi"


def _proxy_config(value: str) -> str:
    try:
        parse_proxy_config(value)
    except ProxyConfigError as problem:
        return f"failed to convert to apply proxy config: {problem}"
    return ""


def _level(value: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z0-9_:,.\-]+", value) else "want levels such as warning or misc:error"


def chosen_templates(annotations: Mapping[str, str]) -> list[str]:
    """Names of the annotation inject.istio.io/templates, without repetition; ``sidecar`` where it is not there."""
    return list(dict.fromkeys(name.strip() for name in annotations.get(TEMPLATES, SIDECAR).split(",")))


def _templates(value: str) -> str:
    names = chosen_templates({TEMPLATES: value})
    have = f"have {GATEWAY}, {SIDECAR}"
    for name in names:
        if name in _PROXYLESS:
            return f'template "{name}" is for gRPC without a proxy, which this mesh does not serve; {have}'
        if name not in {SIDECAR, GATEWAY}:
            return f'requested template "{name}" not found; {have}'
    return "" if len(names) == 1 else f"{' and '.join(names)} each bring an istio-proxy: choose one"


def _unsupported(_value: str) -> str:
    return "this mesh does not support it: remove the annotation"


_CHECKS: dict[str, Callable[[str], str]] = {
    INTERCEPTION_MODE: _interception_mode,
    STATUS_PORT: _status_port,
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _uint32,
    "readiness.status.sidecar.istio.io/periodSeconds": _uint32,
    "readiness.status.sidecar.istio.io/failureThreshold": _uint32,
    f"{TRAFFIC}includeOutboundIPRanges": _ranges("includeIPRanges", star=True),
    f"{TRAFFIC}excludeOutboundIPRanges": _ranges("excludeIPRanges"),
    f"{TRAFFIC}includeInboundPorts": _ports("includeInboundPorts", star=True),
    f"{TRAFFIC}excludeInboundPorts": _ports("excludeInboundPorts"),
    f"{TRAFFIC}includeOutboundPorts": _ports("includeOutboundPorts", star=True),
    f"{TRAFFIC}excludeOutboundPorts": _ports("excludeOutboundPorts"),
    f"{TRAFFIC}excludeInterfaces": _interfaces,
    f"{TRAFFIC}kubevirtInterfaces": _interfaces,
    REROUTE_INTERFACES: _interfaces,
    MERGE_METRICS: _boolean,
    PROXY_CONFIG: _proxy_config,
    "sidecar.istio.io/proxyCPU": _quantity,
    "sidecar.istio.io/proxyMemory": _quantity,
    "sidecar.istio.io/proxyCPULimit": _quantity,
    "sidecar.istio.io/proxyMemoryLimit": _quantity,
    NATIVE_SIDECAR: _boolean,
    REWRITE_PROBES: _boolean,
    "sidecar.istio.io/logLevel": _level,
    "sidecar.istio.io/componentLogLevel": _level,
    "sidecar.istio.io/agentLogLevel": _level,
    TEMPLATES: _templates,
    BIND_LOW_PORTS: _boolean,
    "sidecar.istio.io/bootstrapOverride": _unsupported,
}
_WITHOUT_EFFECT = frozenset(
    {
        "prometheus.istio.io/scrape-targets",
        "prometheus.istio.io/secure-port",
        "sidecar.istio.io/enableCoreDump",
        "sidecar.istio.io/extraStatTags",
        "sidecar.istio.io/proxyImageType",
        "sidecar.istio.io/statsCompression",
        "sidecar.istio.io/statsHistogramBuckets",
        "sidecar.istio.io/statsInclusionPrefixes",
        "sidecar.istio.io/statsInclusionRegexps",
        "sidecar.istio.io/statsInclusionSuffixes",
    }
)
"""Istio acts on these; here the pod runs as well without, so a word is enough."""
