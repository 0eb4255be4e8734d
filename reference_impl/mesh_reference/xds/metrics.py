"""Pilot's own counters, by Istio's names. They live in a registry of their own, which the monitoring port shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mesh_reference.xds.resources import SHORT

REGISTRY = CollectorRegistry()
PUSHES = Counter("pilot_xds_pushes", "Responses sent, answers and pushes.", ["type"], registry=REGISTRY)
REJECTS = Counter("pilot_total_xds_rejects", "Responses that a proxy refused.", ["type"], registry=REGISTRY)
INTERNAL_ERRORS = Counter("pilot_total_xds_internal_errors", "Faults of Pilot's own.", registry=REGISTRY)
CONNECTED = Gauge("pilot_xds", "Proxies connected.", registry=REGISTRY)
CONVERGENCE = Histogram(
    "pilot_proxy_convergence_time",
    "Seconds from the first event of a change to its push to one proxy.",
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 3, 10),
)
SIZES = Histogram(
    "pilot_xds_config_size_bytes",
    "Bytes of one response.",
    ["type"],
    registry=REGISTRY,
    buckets=(1e3, 1e4, 1e5, 1e6, 4e6, 1e7),
)
SERVICES = Gauge("pilot_services", "Services known.", registry=REGISTRY)
VIRTUAL_SERVICES = Gauge("pilot_virt_services", "VirtualServices served.", registry=REGISTRY)
PROBLEMS = Gauge("pilot_unserved_configs", "Resources that are not served because they cannot be.", registry=REGISTRY)

PUSHES_OF = {kind: PUSHES.labels(kind) for kind in SHORT.values()}
SIZES_OF = {kind: SIZES.labels(kind) for kind in SHORT.values()}
"""By type: found once, for they count every response."""
