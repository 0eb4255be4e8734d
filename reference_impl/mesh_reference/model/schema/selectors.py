"""How kinds select pods: by ``matchLabels`` or by ``labels``.

Only the shape, and what CEL can say of it.
"""

from __future__ import annotations

from mesh_reference.model.schema.types import MapOf, Message, Rule, Text

_VALUE = Text(
    at_most=63,
    rules=(Rule(expression="!self.contains('*')", message="wildcard is not supported in selector", rule="V60b"),),
)
WORKLOAD_SELECTOR = Message(
    name="WorkloadSelector",
    fields={
        "matchLabels": MapOf(
            value=_VALUE,
            at_most=4096,
            rules=(
                Rule(
                    expression="self.all(key, !key.contains('*'))",
                    message="wildcard is not supported in selector",
                    rule="V60b",
                ),
                Rule(
                    expression="self.all(key, key.size() != 0)",
                    message="empty key is not supported in selector",
                    rule="V60a",
                ),
            ),
        )
    },
)
"""Pods by ``matchLabels``, as the security kinds and DestinationRule write it."""
LABEL_SELECTOR = Message(name="WorkloadSelector", fields={"labels": MapOf(value=_VALUE, at_most=256)})
"""Pods by ``labels``, as ServiceEntry and Sidecar write it."""
