"""Istio's NameTable, the message in which Pilot tells agents the addresses of names (``istio.networking.nds.v1``).

No published package of Envoy's messages has it: its descriptor is built here, field for field as in Istio's ``nds.proto``.
What goes into a table is Pilot's business, what is answered from one the agent's.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "istio.networking.nds.v1"
TYPE_URL = f"type.googleapis.com/{PACKAGE}.NameTable"
KUBERNETES, EXTERNAL = "Kubernetes", "External"
"""Registries, as Istio names them: a Kubernetes name has short forms, a ServiceEntry's has none."""

_Field = descriptor_pb2.FieldDescriptorProto


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="istio/nds.proto", package=PACKAGE, syntax="proto3")
    table = file.message_type.add(name="NameTable")
    info = table.nested_type.add(name="NameInfo")
    info.field.add(name="ips", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_REPEATED)
    for number, name in enumerate(("registry", "shortname", "namespace"), 2):
        info.field.add(name=name, number=number, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    info.field.add(name="alt_hosts", number=5, type=_Field.TYPE_STRING, label=_Field.LABEL_REPEATED)
    entry = table.nested_type.add(name="TableEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    of = f".{PACKAGE}.NameTable"
    entry.field.add(
        name="value", number=2, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_OPTIONAL, type_name=f"{of}.NameInfo"
    )
    table.field.add(
        name="table", number=1, type=_Field.TYPE_MESSAGE, label=_Field.LABEL_REPEATED, type_name=f"{of}.TableEntry"
    )
    return file


def _message() -> Any:
    pool = descriptor_pool.Default()
    # A process that has Istio's own generated code in it keeps that one.
    try:
        found = pool.FindMessageTypeByName(f"{PACKAGE}.NameTable")
    except KeyError:
        pool.AddSerializedFile(_describe().SerializeToString())
        found = pool.FindMessageTypeByName(f"{PACKAGE}.NameTable")
    return message_factory.GetMessageClass(found)


NameTable: Any = _message()
"""``table``: host name to ``ips``, ``registry``, and of a Kubernetes Service ``shortname`` and ``namespace``."""
