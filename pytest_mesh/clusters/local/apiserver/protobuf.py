"""Kubernetes' protobuf request bodies to JSON. Pure.

Answers are never protobuf. The message table (``data/protobuf.json.gz``) says of each
field its JSON name, its type and whether it is a pointer in Go: a zero that is not
behind a pointer means "not set".
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from pytest_mesh.clusters.local.apiserver import builtins

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC = b"k8s\x00"
META = "k8s.io.apimachinery.pkg.apis.meta.v1."

Table = dict[str, dict[str, list[str]]]


@cache
def _table() -> Table:
    table: Table = builtins.load("protobuf.json.gz")
    return table


def decode(data: bytes) -> dict[str, Any]:
    """Read one object with its envelope; raises ValueError for what is no Kubernetes protobuf."""
    if not data.startswith(MAGIC):
        raise ValueError("the body does not start with the protobuf prefix k8s\\x00")
    try:
        envelope = _raw_fields(data[len(MAGIC) :])
        type_meta = {number: bytes(value[-1]).decode() for number, value in _raw_fields(envelope[1][-1]).items()}
        api_version, kind = type_meta.get(1, ""), type_meta.get(2, "")
        payload = bytes(envelope.get(2, [b""])[-1])
        obj = _message(payload, _message_name(api_version, kind))
    except (IndexError, KeyError, struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"malformed protobuf: {error!r}") from error
    return {"apiVersion": api_version, "kind": kind, **obj}


def _message_name(api_version: str, kind: str) -> str:
    group, _, version = api_version.rpartition("/")
    if kind in ("DeleteOptions", "List"):
        return META + kind
    package = "core" if not group else group.removesuffix(".k8s.io").removesuffix(".authorization")
    package = "rbac" if group.startswith("rbac.") else package
    name = f"k8s.io.api.{package}.{version}.{kind}"
    if name not in _table():
        raise ValueError(f"no protobuf form is known of {kind} in {api_version}; send JSON")
    return name


def _raw_fields(data: bytes | memoryview) -> dict[int, list[Any]]:
    """Split a message into field number -> raw values: int for varints, bytes for everything else."""
    fields: dict[int, list[Any]] = {}
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        wire = tag & 7
        value: Any
        if wire == 0:
            value, position = _varint(data, position)
        elif wire == 2:
            size, position = _varint(data, position)
            value = data[position : position + size]
            if len(value) != size:
                raise ValueError("malformed protobuf: a field is cut short")
            position += size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value = data[position : position + size]
            position += size
        else:
            raise ValueError(f"malformed protobuf: wire type {wire}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _message(data: bytes | memoryview, name: str) -> Any:
    special = _SPECIAL.get(name)
    if special is not None:
        return special(_raw_fields(data))
    table = _table()[name]
    result: dict[str, Any] = {}
    for number, values in _raw_fields(data).items():
        row = table.get(str(number))
        if row is None:
            continue
        field, kind, flags = row
        if "m" in flags:
            entries = [_raw_fields(value) for value in values]
            result[field] = {
                bytes(entry.get(1, [b""])[-1]).decode(): _value(entry.get(2, [b""])[-1], kind) for entry in entries
            }
        elif "r" in flags:
            result[field] = [_value(value, kind) for value in values]
        elif "n" in flags:
            result.update(_value(values[-1], kind))
        else:
            value = _value(values[-1], kind)
            if "p" in flags or value not in (None, "", 0, False, {}):
                result[field] = value
    return result


def _value(raw: Any, kind: str) -> Any:
    if kind == "s":
        return bytes(raw).decode()
    if kind == "i":
        return _signed(raw) if isinstance(raw, int) else 0
    if kind == "b":
        return bool(raw) if isinstance(raw, int) else False
    if kind == "y":
        return base64.b64encode(bytes(raw)).decode()
    if kind == "d":
        return struct.unpack("<d", bytes(raw))[0]
    return _message(raw, kind)


def _time(fields: dict[int, list[Any]], *, micro: bool = False) -> str | None:
    if not fields:
        return None
    seconds = _signed(fields.get(1, [0])[-1])
    nanos = fields.get(2, [0])[-1]
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    if micro:
        return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos // 1000:06d}Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(fields: dict[int, list[Any]]) -> int | str:
    if fields.get(1, [0])[-1] == 1:
        return bytes(fields.get(3, [b""])[-1]).decode()
    return _signed(fields.get(2, [0])[-1])


def _raw_json(fields: dict[int, list[Any]]) -> Any:
    raw = bytes(fields.get(1, [b""])[-1])
    return orjson.loads(raw) if raw else {}


def _duration(fields: dict[int, list[Any]]) -> str:
    nanos = _signed(fields.get(1, [0])[-1])
    return f"{nanos / 1e9:g}s"


_SPECIAL: dict[str, Callable[[dict[int, list[Any]]], Any]] = {
    META + "Time": _time,
    META + "MicroTime": lambda fields: _time(fields, micro=True),
    META + "FieldsV1": _raw_json,
    META + "Duration": _duration,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _raw_json,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": lambda fields: bytes(fields.get(1, [b""])[-1]).decode(),
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
}
