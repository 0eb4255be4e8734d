"""What the security kinds share: the objects that a policy may be attached to instead of a selector.

Only the shape; which targets are allowed is in the room `validation`.
"""

from __future__ import annotations

from mesh_reference.model.schema.types import ListOf, Message, Rule, Text

TARGET_REF = Message(
    name="PolicyTargetReference",
    fields={
        "group": Text(at_most=253),
        "kind": Text(at_most=63),
        "name": Text(at_most=253),
        "namespace": Text(
            at_most=253,
            rules=(
                Rule(
                    expression="self.size() == 0",
                    message="targetRef namespace must not be set; cross namespace referencing is not supported",
                    rule="V60e",
                ),
            ),
        ),
    },
    rules=(
        Rule(
            expression="has(self.name) && self.name != ''",
            message="targetRef name must be set",
            rule="V60d",
            at=".name",
        ),
    ),
)
TARGET_REFS = ListOf(item=TARGET_REF, at_most=16)
ONE_TARGET = Rule(
    expression=(
        "(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + "
        "(has(self.targetRefs) && self.targetRefs.size() > 0 ? 1 : 0) <= 1"
    ),
    message="only one of targetRefs or workloadSelector can be set",
    rule="V60g",
)
