"""Where traffic is sent: a destination and its port, as several kinds write them. Only the shape."""

from __future__ import annotations

from mesh_reference.model.schema.types import TEXT, UINT32, Message

PORT_SELECTOR = Message(name="PortSelector", fields={"number": UINT32})
DESTINATION = Message(
    name="Destination",
    fields={"host": TEXT, "subset": TEXT, "port": PORT_SELECTOR},
    descriptions={
        "host": "The name of a service from the service registry.",
        "subset": "A subset of its DestinationRule.",
    },
)
