"""DestinationRule, field by field, as istio.io/api networking defines it; its policies are in `traffic_policy`.

Only the shape; what a value must satisfy is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.selectors import WORKLOAD_SELECTOR
from mesh_reference.model.schema.traffic_policy import TRAFFIC_POLICY
from mesh_reference.model.schema.types import LABELS, TEXT, TEXTS, Column, Kind, ListOf, Message, Rule

SUBSET = Message(
    name="Subset",
    fields={"name": TEXT, "labels": LABELS, "trafficPolicy": TRAFFIC_POLICY},
    rules=(
        Rule(
            expression="has(self.name) && self.name != ''",
            message="subset name cannot be empty",
            rule="V41b",
            at=".name",
        ),
    ),
)

DESTINATION_RULE = Kind(
    group="networking.istio.io",
    kind="DestinationRule",
    plural="destinationrules",
    short_name="dr",
    versions=("v1", "v1beta1", "v1alpha3"),
    description="Configuration affecting load balancing, outlier detection, etc.",
    spec=Message(
        name="DestinationRule",
        fields={
            "host": TEXT,
            "trafficPolicy": TRAFFIC_POLICY,
            "subsets": ListOf(item=SUBSET),
            "exportTo": TEXTS,
            "workloadSelector": WORKLOAD_SELECTOR,
        },
        descriptions={
            "host": "The name of a service from the service registry.",
            "trafficPolicy": "Traffic policies to apply (load balancing policy, connection pool sizes, outlier detection).",
            "subsets": "One or more named sets that represent individual versions of a service.",
            "exportTo": "A list of namespaces to which this destination rule is exported.",
            "workloadSelector": "The pods on which this configuration is applied; default all of the namespace.",
        },
        rules=(
            Rule(
                expression="has(self.host) && self.host != ''",
                message="empty domain name not allowed",
                rule="V2d",
                at=".host",
            ),
        ),
    ),
    columns=(Column(name="Host", path=".spec.host", description="The name of a service from the service registry"),),
)
