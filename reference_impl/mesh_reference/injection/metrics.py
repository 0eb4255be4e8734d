"""Prometheus annotations, led to the agent, which merges its own figures with the application's (row §2.4.5)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

from mesh_reference.injection.annotations import MERGE_METRICS, AnnotationError
from mesh_reference.injection.booleans import parse_bool

ENV = "ISTIO_PROMETHEUS_ANNOTATIONS"
PATH = "/stats/prometheus"

_FIELDS = {"prometheus_io_scrape": "scrape", "prometheus_io_path": "path", "prometheus_io_port": "port"}
_RESERVED = {
    "15000": "Envoy admin",
    "15001": "outbound traffic capture",
    "15004": "pilot debug",
    "15006": "inbound traffic capture",
    "15008": "HBONE tunnel",
    "15020": "pilot-agent status / merged Prometheus",
    "15021": "Envoy health",
    "15053": "DNS proxy",
    "15090": "Envoy Prometheus (already merged)",
}


def merge(annotations: MutableMapping[str, str], status_port: int, *, enabled: bool) -> str:
    """Turns the annotations to the agent in place; answers the value of ISTIO_PROMETHEUS_ANNOTATIONS, or "".

    Nothing changes when merging is off, when there is no status port (0) or when the pod is not to be scraped.
    """
    if not status_port:
        return ""
    chosen = parse_bool(annotations.get(MERGE_METRICS, ""))
    found = _read(annotations)
    if not (enabled if chosen is None else chosen) or parse_bool(found.get("scrape", "true")) is False:
        return ""
    port = found.get("port", "")
    if port == str(status_port):
        return ""
    if port:
        _check_port(port)
    clear(annotations)
    annotations.update(_ours(status_port))
    if not found:
        return ""
    return json.dumps({name: found.get(name, "") for name in ("scrape", "path", "port")}, separators=(",", ":"))


def restore(annotations: MutableMapping[str, str], status_ports: Collection[int], saved: str | None) -> None:
    """The inverse of `merge`, whichever of the ports it went to: takes our annotations away, puts the application's back."""
    if not any(_ours(port).items() <= annotations.items() for port in status_ports):
        return
    clear(annotations)
    for name, value in (json.loads(saved) if saved else {}).items():
        if name in _FIELDS.values() and value:
            annotations[f"prometheus.io/{name}"] = value


def clear(annotations: MutableMapping[str, Any]) -> None:
    """Takes away every spelling of the annotations that Prometheus reads."""
    for name in [name for name in annotations if _canonical(name) in _FIELDS]:
        del annotations[name]


def _ours(status_port: int) -> dict[str, str]:
    return {
        "prometheus.io/port": str(status_port),
        "prometheus.io/path": PATH,
        "prometheus.io/scrape": "true",
    }


def _read(annotations: Mapping[str, str]) -> dict[str, str]:
    """An empty value says nothing, so that a second injection reads what the first one kept."""
    return {
        _FIELDS[_canonical(name)]: value for name, value in annotations.items() if value and _canonical(name) in _FIELDS
    }


def _canonical(name: str) -> str:
    """As Prometheus sees the name: every other character an underscore."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _check_port(port: str) -> None:
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise AnnotationError(f'invalid prometheus scrape configuration: invalid port "{port}"')
    reason = _RESERVED.get(str(int(port)))
    if reason:
        raise AnnotationError(
            f"invalid prometheus scrape configuration: port {port} is reserved for Istio ({reason}) and cannot be scraped"
        )
