"""The arguments of istio-init: what of the pod's traffic is captured (rows §2.2, §2.3). Pure."""

from __future__ import annotations

from mesh_reference.injection.annotations import REROUTE_INTERFACES, TRAFFIC
from mesh_reference.injection.frame import PROXY_UID, Frame


def arguments(frame: Frame) -> list[str]:
    """Of ``istio-iptables``, from the annotations and else from the settings."""
    settings = frame.settings
    excluded = _excluded_ports(
        frame.status_port, frame.option(f"{TRAFFIC}excludeInboundPorts", settings.exclude_inbound_ports)
    )
    found = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", str(PROXY_UID), "-m", frame.interception_mode]
    found += ["-i", frame.option(f"{TRAFFIC}includeOutboundIPRanges", settings.include_outbound_ranges)]
    found += ["-x", frame.option(f"{TRAFFIC}excludeOutboundIPRanges", settings.exclude_outbound_ranges)]
    found += ["-b", frame.option(f"{TRAFFIC}includeInboundPorts", settings.include_inbound_ports)]
    found += ["-d", ",".join(["15090", "15021", *excluded])]
    for flag, name, default in (
        ("-q", f"{TRAFFIC}includeOutboundPorts", settings.include_outbound_ports),
        ("-o", f"{TRAFFIC}excludeOutboundPorts", settings.exclude_outbound_ports),
    ):
        if name in frame.annotations or default:
            found += [flag, frame.option(name, default)]
    rerouted = REROUTE_INTERFACES if REROUTE_INTERFACES in frame.annotations else f"{TRAFFIC}kubevirtInterfaces"
    if rerouted in frame.annotations:
        found += ["-k", frame.annotations[rerouted]]
    if f"{TRAFFIC}excludeInterfaces" in frame.annotations:
        found += ["-c", frame.annotations[f"{TRAFFIC}excludeInterfaces"]]
    return [
        *found,
        f"--log_output_level={frame.option('sidecar.istio.io/agentLogLevel', settings.agent_log_level)}",
    ]


def _excluded_ports(status_port: int, excluded: str) -> list[str]:
    ports = [port.strip() for port in excluded.split(",") if port.strip()]
    return ports if not status_port or str(status_port) in ports else [*ports, str(status_port)]
