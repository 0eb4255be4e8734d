"""WorkloadEntry, field by field, as istio.io/api networking defines it; ServiceEntry's endpoints have the same form.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.types import PORT, TEXT, UINT32, Column, Kind, MapOf, Message, Rule, Text

_LABEL = "size(key) <= 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$')"

ENDPOINT = Message(
    name="WorkloadEntry",
    fields={
        "address": Text(
            at_most=256,
            rules=(
                Rule(
                    expression="!self.startsWith('unix://') || (!self.endsWith('/') && self.matches('^unix://[/@]'))",
                    message="unix address is not an absolute path to a file",
                    rule="V61c",
                    says=(
                        "self == 'unix://' ? 'unix address must not be empty' : "
                        "self.substring(7) + ' is not an absolute path to a file'"
                    ),
                ),
            ),
        ),
        "ports": MapOf(
            value=PORT,
            at_most=128,
            rules=(
                Rule(
                    expression=f"self.all(key, {_LABEL})",
                    message="invalid port name",
                    rule="V61g",
                    says=f"'invalid port name: ' + self.filter(key, !({_LABEL}))[0]",
                ),
            ),
        ),
        "labels": MapOf(value=TEXT, at_most=256),
        "network": Text(at_most=2048),
        "locality": Text(at_most=2048),
        "weight": UINT32,
        "serviceAccount": Text(at_most=253),
    },
    descriptions={
        "address": "An IP address, a DNS name or unix:///path of the endpoint.",
        "ports": "The endpoint's port for a port's name; default the ServiceEntry's targetPort, else its number.",
        "weight": "The share of traffic; default 1.",
    },
    rules=(
        Rule(
            expression="(has(self.address) && self.address != '') || (has(self.network) && self.network != '')",
            message="address is required",
            rule="V61a",
            at=".address",
        ),
        Rule(
            expression="!has(self.address) || !self.address.startsWith('unix://') || !has(self.ports) || self.ports.size() == 0",
            message="unix endpoint must not include ports",
            rule="V61d",
            says="'unix endpoint ' + self.address + ' must not include ports'",
            at=".ports",
        ),
    ),
)

WORKLOAD_ENTRY = Kind(
    group="networking.istio.io",
    kind="WorkloadEntry",
    plural="workloadentries",
    short_name="we",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting VMs onboarded into the mesh.",
    spec=ENDPOINT,
    columns=(Column(name="Address", path=".spec.address", description="Address of the endpoint."),),
)
