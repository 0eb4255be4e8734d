"""PeerAuthentication, field by field, as istio.io/api security defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.selectors import WORKLOAD_SELECTOR
from mesh_reference.model.schema.types import Choice, Column, Kind, MapOf, Message, Rule

MUTUAL_TLS = Message(name="MutualTLS", fields={"mode": Choice(names=("UNSET", "DISABLE", "PERMISSIVE", "STRICT"))})

PEER_AUTHENTICATION = Kind(
    group="security.istio.io",
    kind="PeerAuthentication",
    plural="peerauthentications",
    short_name="pa",
    versions=("v1", "v1beta1"),
    description="Peer authentication configuration for workloads.",
    spec=Message(
        name="PeerAuthentication",
        fields={
            "selector": WORKLOAD_SELECTOR,
            "mtls": MUTUAL_TLS,
            "portLevelMtls": MapOf(
                value=MUTUAL_TLS,
                key="port",
                rules=(
                    Rule(
                        expression="self.all(key, 0 < int(key) && int(key) <= 65535)",
                        message="port must be in range 1..65535",
                        rule="V59c",
                    ),
                    Rule(
                        expression="self.size() > 0",
                        message="port level mTLS, if defined, must have at least one element",
                        rule="V59b",
                    ),
                ),
            ),
        },
        rules=(
            Rule(
                expression=(
                    "!has(self.portLevelMtls) || self.portLevelMtls.size() == 0 || "
                    "(has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0)"
                ),
                message="mesh/namespace peer authentication cannot have port level mTLS",
                rule="V59a",
                at=".portLevelMtls",
            ),
        ),
        descriptions={
            "selector": "The workloads this applies to; default all of the namespace, or of the mesh in the root namespace.",
            "mtls": "Mutual TLS settings for the workload.",
            "portLevelMtls": "Port specific mutual TLS settings.",
        },
    ),
    columns=(
        Column(name="Mode", path=".spec.mtls.mode", description="Defines the mTLS mode used for peer authentication."),
    ),
)
