"""Bodies, patches and headers that cannot be read, and those that are too large."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from families.samples import config_map
from scenes import APPLY, JSON_PATCH, MERGE, PROTOBUF, STRATEGIC, YAML, Request, Scene, core, get, post, put, scene

MAPS = core("configmaps")
ONE = core("configmaps", "one")
LIMIT = 3 * 1024 * 1024


def length(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + struct.pack("B", number & 0x7F | 0x80), number >> 7
    return out + struct.pack("B", number)


def message(*fields: tuple[int, bytes]) -> bytes:
    """A protobuf message of length-delimited fields."""
    return b"".join(length(number << 3 | 2) + length(len(data)) + data for number, data in fields)


def protobuf(name: bytes, kind: bytes = b"ConfigMap", version: bytes = b"v1", data: bytes = b"1") -> bytes:
    obj = message((1, message((1, name))), (2, message((1, b"a"), (2, data))))
    return b"k8s\x00" + message((1, message((1, version), (2, kind))), (2, obj))


def large(size: int) -> str:
    return '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"a":"' + "x" * size + '"}}'


def scenes() -> Iterator[Scene]:
    bodies = (
        "", "{", "null", "[]", '"text"', "5", "{}", '{"metadata":5}', '{"metadata":{"name":5}}', '{"kind":5}', '{"a":1}x', "{'a':1}", '{"data":{"a":"1"}', "\x00",
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\\ud800"}}', '{"apiVersion":"v1","kind":"ConfigMap","metadata":null}', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":"x"}',
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":{}}}', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"immutable":"yes"}', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"},"immutable":1}',
        '{"apiVersion":"v1","kind":"ConfigMap","Metadata":{"name":"upper"}}', '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"case"},"DATA":{"a":"1"}}', '{"apiVersion":"v1/v2/v3","kind":"ConfigMap"}', '{"apiVersion":"","kind":"ConfigMap","metadata":{"name":"empty"}}',
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bin"},"binaryData":{"a":"!!"}}', '{"apiVersion":"v1","kind":"ConfigMapList","items":[]}', '{"apiVersion":"v1","kind":"List","items":[]}',
    )  # fmt: skip
    yield scene("malformed", "json", *(post(MAPS, body) for body in bodies))
    texts = (
        "a: [",
        "- a",
        "x",
        "a: b: c",
        "\tkind: ConfigMap",
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: y}\ndata: {a: 1}\n",
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: z}\ndata: {a: 'x'}\n",
        "---\n---\n",
        "&a [*a]",
        "kind: ConfigMap\n---\nkind: Secret\n",
    )
    yield scene("malformed", "yaml", *(post(MAPS, text, content_type=YAML) for text in texts))
    whole = protobuf(b"proto")
    raw = (
        whole,
        b"",
        b"k8s\x00",
        b"k8s\x00\xff\xff",
        whole[:-3],
        b"nope",
        protobuf(b"other", b"Secret"),
        protobuf(b"other", b"Nothing"),
        protobuf(b"two", data=b"\xff\xfe"),
        b"k8s\x00" + message((1, message((1, b"v1"), (2, b"ConfigMap"))), (2, b"\x08")),
        protobuf(b"v", version=b"v9"),
    )
    yield scene("malformed", "protobuf", *(post(MAPS, body, content_type=PROTOBUF) for body in raw))
    yield scene(
        "malformed", "media", post(MAPS, config_map("a"), content_type="text/plain"), post(MAPS, config_map("b"), content_type="application/xml"), post(MAPS, config_map("c"), content_type=""), post(MAPS, config_map("d"), content_type="application/json; charset=utf-8"),
        post(MAPS, config_map("e"), content_type="application/cbor"), post(MAPS, config_map("f"), content_type="rubbish"), post(MAPS, config_map("one")),
        *(Request(method="PATCH", path=ONE, body={"data": {"x": "1"}}, content_type=kind) for kind in ("application/json", "text/plain", "", "application/merge-patch+json; charset=utf-8", "application/apply-patch+cbor", YAML)),
        put(ONE, config_map(), content_type="text/html"), get(MAPS, headers={"X-Odd": "1"}), Request(method="POST", path=MAPS, body=config_map("method"), headers={"X-HTTP-Method-Override": "DELETE"}),
        Request(method="OPTIONS", path=MAPS), Request(method="BREW", path=MAPS),
    )  # fmt: skip
    yield scene("malformed", "patches", post(MAPS, config_map()), *(Request(method="PATCH", path=ONE, body=body, content_type=kind) for kind in (MERGE, JSON_PATCH, STRATEGIC) for body in ("", "{", "5", "null", '"x"')),
                *(Request(method="PATCH", path=f"{ONE}?fieldManager=a", body=body, content_type=APPLY) for body in ("", "{", "5", "null", "a: *b")))  # fmt: skip
    deep = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"deep"},"x":' + "[" * 12000 + "]" * 12000 + "}"
    many = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "notes", "annotations": {"a": "x" * 262145}}}
    operations = [{"op": "add", "path": "/data/x", "value": "1"}] * 10001
    yield scene("malformed", "large", post(MAPS, large(LIMIT)), post(MAPS, large(LIMIT - 200)), post(MAPS, large(1024 * 1024 - 1), only=("kind", "metadata.name")), post(MAPS, large(900_000), only=("kind", "metadata.name")), post(MAPS, many), post(MAPS, deep),
                post(MAPS, config_map()), Request(method="PATCH", path=ONE, body=operations, content_type=JSON_PATCH), Request(method="PATCH", path=ONE, body=large(LIMIT), content_type=MERGE), put(ONE, large(LIMIT)),
                Request(method="PATCH", path=ONE, body='{"data":' * 12000 + "1" + "}" * 12000, content_type=MERGE), post(core("secrets"), {"metadata": {"name": "big"}, "data": {"a": "QUFB" * 400_000}}))  # fmt: skip
