"""The rules of ConfigMaps, Secrets, Events and Leases. Pure."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.rules.faults import IMMUTABLE, forbidden, not_negative, required, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.contracts import Json

SIZE_LIMIT = 1024 * 1024
"""Bytes of a ConfigMap's or a Secret's values together."""

KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_NEEDED = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
ACCOUNT = "kubernetes.io/service-account.name"


def config_map(config_map: Json, old: Json | None) -> Iterator[Cause]:
    """Check a ConfigMap."""
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    for key in sorted(data):
        yield from _key(f"data[{key}]", key)
        if key in binary:
            yield wrong(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in sorted(binary):
        yield from _key(f"binaryData[{key}]", key)
    yield from _size(
        [len(value.encode()) for value in data.values()] + [_length(value) for value in binary.values()], "[]"
    )
    if old is not None and old.get("immutable"):
        if not config_map.get("immutable"):
            yield forbidden("immutable", "field is immutable when `immutable` is set")
        for field in ("data", "binaryData"):
            if config_map.get(field) != old.get(field):
                yield forbidden(field, "field is immutable when `immutable` is set")


def _key(field: str, key: str) -> Iterator[Cause]:
    if len(key) > 253:
        yield wrong(field, key, "must be no more than 253 characters")
    if not _KEY.fullmatch(key):
        yield wrong(field, key, KEY_RULE)
    elif key == ".":
        yield wrong(field, key, "must not be '.'")
    elif key == "..":
        yield wrong(field, key, "must not be '..'")
    elif key.startswith(".."):
        yield wrong(field, key, "must not start with '..'")


def _length(encoded: str) -> int:
    return len(encoded) * 3 // 4 - encoded[-2:].count("=")


def _size(lengths: list[int], field: str) -> Iterator[Cause]:
    if sum(lengths) > SIZE_LIMIT:
        text = f"Too long: may not be more than {SIZE_LIMIT} bytes"
        yield Cause(field=field, message=text, reason="FieldValueTooLong")


def secret(secret: Json, old: Json | None) -> Iterator[Cause]:
    """Check a Secret."""
    data, kind = secret.get("data") or {}, secret.get("type", "")
    for key in sorted(data):
        yield from _key(f"data[{key}]", key)
    yield from _size([_length(value) for value in data.values()], "data")
    for key in _NEEDED.get(kind, ()):
        if key not in data:
            yield required(f"data[{key}]")
        elif key.startswith("."):
            yield from _is_json(data[key], f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        yield required("data[username]")
        yield required("data[password]")
    if kind == "kubernetes.io/service-account-token" and not (secret["metadata"].get("annotations") or {}).get(ACCOUNT):
        yield required(f"metadata.annotations[{ACCOUNT}]")
    if old is not None:
        if kind != old.get("type"):
            yield wrong("type", kind, IMMUTABLE)
        if old.get("immutable"):
            if not secret.get("immutable"):
                yield forbidden("immutable", "field is immutable when `immutable` is set")
            if secret.get("data") != old.get("data"):
                yield forbidden("data", "field is immutable when `immutable` is set")


def _is_json(encoded: str, field: str) -> Iterator[Cause]:
    try:
        value = json.loads(base64.b64decode(encoded))
        why = (
            ""
            if isinstance(value, dict)
            else f"json: cannot unmarshal {_go(value)} into Go value of type map[string]interface {{}}"
        )
    except ValueError as error:
        why = str(error)
    if why:
        yield wrong(field, "<secret contents redacted>", why)


def _go(value: object) -> str:
    return {bool: "bool", str: "string", list: "array"}.get(type(value), "number")


def event(event: Json, old: Json | None) -> Iterator[Cause]:
    """Check an Event."""
    if old is not None:
        return
    namespace, own = (
        (event.get("involvedObject") or event.get("regarding") or {}).get("namespace", ""),
        event["metadata"].get("namespace", ""),
    )
    if namespace != own and not (not namespace and own == "default"):
        yield wrong("involvedObject.namespace", namespace, "does not match event.namespace")


def lease(lease: Json, _old: Json | None) -> Iterator[Cause]:
    """Check a Lease."""
    spec = lease.get("spec") or {}
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        yield wrong("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    yield from not_negative(spec, "spec", "leaseTransitions")
