"""ServiceEntry, field by field, as istio.io/api networking defines it.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.selectors import LABEL_SELECTOR
from mesh_reference.model.schema.types import PORT, TEXTS, Choice, Column, Kind, ListOf, Message, Rule, Text
from mesh_reference.model.schema.workload_entry import ENDPOINT

_RESOLUTION = "(has(self.resolution) ? self.resolution : 'NONE')"
_ENDPOINTS = "(has(self.endpoints) ? self.endpoints.size() : 0)"

SERVICE_ENTRY = Kind(
    group="networking.istio.io",
    kind="ServiceEntry",
    plural="serviceentries",
    short_name="se",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting service registry.",
    spec=Message(
        name="ServiceEntry",
        fields={
            "hosts": ListOf(
                item=Text(rules=(Rule(expression="self != '*'", message="invalid host *", rule="V56b"),)), at_most=256
            ),
            "addresses": ListOf(item=Text(at_most=64), at_most=256),
            "ports": ListOf(
                item=Message(
                    name="ServicePort",
                    fields={
                        "number": PORT,
                        "protocol": Text(at_most=256),
                        "name": Text(at_most=256),
                        "targetPort": PORT,
                    },
                ),
                at_most=256,
                rules=(
                    Rule(
                        expression=(
                            "self.all(one, self.exists_one(other, has(one.name) == has(other.name) && "
                            "(!has(one.name) || one.name == other.name)))"
                        ),
                        message="service entry port name already defined",
                        rule="V56f",
                    ),
                    Rule(
                        expression=(
                            "self.all(one, self.exists_one(other, has(one.number) == has(other.number) && "
                            "(!has(one.number) || one.number == other.number)))"
                        ),
                        message="service entry port already defined",
                        rule="V56g",
                    ),
                ),
            ),
            "location": Choice(names=("MESH_EXTERNAL", "MESH_INTERNAL")),
            "resolution": Choice(names=("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")),
            "endpoints": ListOf(item=ENDPOINT, at_most=4096),
            "workloadSelector": LABEL_SELECTOR,
            "exportTo": TEXTS,
            "subjectAltNames": TEXTS,
        },
        descriptions={
            "hosts": "The hosts associated with the ServiceEntry.",
            "addresses": "The virtual IP addresses associated with the service.",
            "ports": "The ports associated with the external service.",
            "location": "Whether the service is considered external to the mesh or part of it.",
            "resolution": "How the addresses of the service are found; default NONE.",
            "endpoints": "One or more endpoints associated with the service.",
            "workloadSelector": "The workloads of a MESH_INTERNAL service.",
            "exportTo": "A list of namespaces to which this service is exported.",
            "subjectAltNames": "The subject alternate names that the server's certificate must have one of.",
        },
        rules=(
            Rule(
                expression="has(self.hosts) && self.hosts.size() > 0",
                message="service entry must have at least one host",
                rule="V56a",
                at=".hosts",
            ),
            Rule(
                expression=f"!has(self.workloadSelector) || {_ENDPOINTS} == 0",
                message="only one of WorkloadSelector or Endpoints is allowed in Service Entry",
                rule="V56e",
                at=".endpoints",
            ),
            Rule(
                expression=(
                    f"{_RESOLUTION} in ['NONE', 'STATIC'] || !has(self.addresses) || "
                    "!self.addresses.exists(one, one.contains('/'))"
                ),
                message="CIDR addresses are allowed only for NONE/STATIC resolution types",
                rule="V56j",
                at=".addresses",
            ),
            Rule(
                expression=f"{_RESOLUTION} != 'NONE' || {_ENDPOINTS} == 0",
                message="no endpoints should be provided for resolution type none",
                rule="V56l",
                at=".endpoints",
            ),
            Rule(
                expression=f"{_RESOLUTION} != 'DNS_ROUND_ROBIN' || {_ENDPOINTS} <= 1",
                message="there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN",
                rule="V56o",
                at=".endpoints",
            ),
        ),
    ),
    columns=(
        Column(name="Hosts", path=".spec.hosts", description="The hosts associated with the ServiceEntry"),
        Column(
            name="Location", path=".spec.location", description="Whether the service is external to the mesh or not"
        ),
        Column(name="Resolution", path=".spec.resolution", description="How the addresses of the service are found"),
    ),
)
