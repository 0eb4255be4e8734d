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
from pytest_mesh.protobuf_wire import fields, signed

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


def _raw_fields(data: bytes) -> dict[int, list[Any]]:
    """Split a message into field number -> raw values."""
    found: dict[int, list[Any]] = {}
    for number, value in fields(data):
        found.setdefault(number, []).append(value)
    return found


def _message(data: bytes, name: str) -> Any:
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
        return signed(raw) if isinstance(raw, int) else 0
    if kind == "b":
        return bool(raw) if isinstance(raw, int) else False
    if kind == "y":
        return base64.b64encode(bytes(raw)).decode()
    if kind == "d":
        return struct.unpack("<d", bytes(raw))[0]
    return _message(raw, kind)


def _time(found: dict[int, list[Any]], *, micro: bool = False) -> str | None:
    if not found:
        return None
    seconds = signed(found.get(1, [0])[-1])
    nanos = found.get(2, [0])[-1]
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    if micro:
        return moment.strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos // 1000:06d}Z"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(found: dict[int, list[Any]]) -> int | str:
    if found.get(1, [0])[-1] == 1:
        return bytes(found.get(3, [b""])[-1]).decode()
    return signed(found.get(2, [0])[-1])


def _raw_json(found: dict[int, list[Any]]) -> Any:
    raw = bytes(found.get(1, [b""])[-1])
    return orjson.loads(raw) if raw else {}


def _duration(found: dict[int, list[Any]]) -> str:
    nanos = signed(found.get(1, [0])[-1])
    return f"{nanos / 1e9:g}s"


_SPECIAL: dict[str, Callable[[dict[int, list[Any]]], Any]] = {
    META + "Time": _time,
    META + "MicroTime": lambda found: _time(found, micro=True),
    META + "FieldsV1": _raw_json,
    META + "Duration": _duration,
    "k8s.io.apimachinery.pkg.runtime.RawExtension": _raw_json,
    "k8s.io.apimachinery.pkg.api.resource.Quantity": lambda found: bytes(found.get(1, [b""])[-1]).decode(),
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": _int_or_string,
}
