"""Sidecar, field by field, as istio.io/api networking defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.destinations import DESTINATION
from mesh_reference.model.schema.gateway import SERVER_TLS
from mesh_reference.model.schema.selectors import LABEL_SELECTOR
from mesh_reference.model.schema.traffic_policy import CONNECTION_POOL
from mesh_reference.model.schema.types import TEXT, TEXTS, UINT32, Choice, Kind, ListOf, Message, Rule

_CAPTURE = Choice(names=("DEFAULT", "IPTABLES", "NONE"))
_PORT = Message(name="SidecarPort", fields={"number": UINT32, "protocol": TEXT, "name": TEXT, "targetPort": UINT32})

SIDECAR = Kind(
    group="networking.istio.io",
    kind="Sidecar",
    plural="sidecars",
    short_name="",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting network reachability of a sidecar.",
    spec=Message(
        name="Sidecar",
        fields={
            "workloadSelector": LABEL_SELECTOR,
            "ingress": ListOf(
                item=Message(
                    name="IstioIngressListener",
                    fields={
                        "port": _PORT,
                        "bind": TEXT,
                        "captureMode": _CAPTURE,
                        "defaultEndpoint": TEXT,
                        "tls": SERVER_TLS,
                        "connectionPool": CONNECTION_POOL,
                    },
                    rules=(
                        Rule(
                            expression="has(self.port)",
                            message="sidecar: port is required for ingress listeners",
                            rule="V57b",
                            at=".port",
                        ),
                    ),
                )
            ),
            "egress": ListOf(
                item=Message(
                    name="IstioEgressListener",
                    fields={"port": _PORT, "bind": TEXT, "captureMode": _CAPTURE, "hosts": TEXTS},
                    rules=(
                        Rule(
                            expression="has(self.hosts) && self.hosts.size() > 0",
                            message="sidecar: egress listener must contain at least one host",
                            rule="V57n",
                            at=".hosts",
                        ),
                    ),
                )
            ),
            "inboundConnectionPool": CONNECTION_POOL,
            "outboundTrafficPolicy": Message(
                name="OutboundTrafficPolicy",
                fields={"mode": Choice(names=("REGISTRY_ONLY", "ALLOW_ANY")), "egressProxy": DESTINATION},
                rules=(
                    Rule(
                        expression="!has(self.egressProxy) || (has(self.mode) && self.mode == 'ALLOW_ANY')",
                        message="sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode",
                        rule="V57u",
                        at=".egressProxy",
                    ),
                ),
            ),
        },
        descriptions={
            "workloadSelector": "The pods on which this configuration is applied; default all of the namespace.",
            "ingress": "The listeners for traffic to the workload.",
            "egress": "The listeners for traffic from the workload, and which hosts each knows.",
            "inboundConnectionPool": "Settings of the connections that come in.",
            "outboundTrafficPolicy": "What happens to traffic to hosts that are not known.",
        },
        rules=(
            Rule(
                expression=(
                    "(has(self.egress) && self.egress.size() > 0) || (has(self.ingress) && self.ingress.size() > 0) || "
                    "has(self.outboundTrafficPolicy) || has(self.inboundConnectionPool)"
                ),
                message="sidecar: empty configuration provided",
                rule="V57a",
            ),
        ),
    ),
    columns=(),
)
