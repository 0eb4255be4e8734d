"""CustomResourceDefinitions and their instances: schema, defaults, pruning, CEL, versions, columns, status, scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from families.samples import definition, version
from scenes import APPLY, STRATEGIC, TABLE, Request, Scene, apply, delete, get, merge, named, patch, post, put, scene

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
Json = dict[str, Any]

SPEC: Json = {
    "type": "object", "required": ["host"],
    "properties": {
        "host": {"type": "string", "minLength": 2, "maxLength": 10, "pattern": "^[a-z.]+$"},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 80},
        "ratio": {"type": "number", "exclusiveMaximum": True, "maximum": 1},
        "mode": {"type": "string", "enum": ["A", "B"]},
        "flag": {"type": "boolean", "nullable": True},
        "any": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "minItems": 1, "x-kubernetes-list-type": "set"},
        "rows": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["key"], "items": {
            "type": "object", "required": ["key"], "properties": {"key": {"type": "string"}, "value": {"type": "string", "default": "v"}, "other": {"type": "string"}}}},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2},
        "when": {"type": "string", "format": "date-time"},
        "choice": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "limited": {"type": "integer", "x-kubernetes-validations": [{"rule": "self >= 3", "message": "three at least"}]},
        "kept": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "may not change"}]},
    },
    "x-kubernetes-validations": [{"rule": "!has(self.map) || size(self.map) < 2 || self.port > 100", "messageExpression": "'the port is low'", "fieldPath": ".port", "reason": "FieldValueForbidden"}],
}  # fmt: skip


def thing(
    group: str, name: str = "one", kind: str = "Thing", served: str = "v1", spec: Json | None = None, **metadata: Any
) -> Json:
    return {
        "apiVersion": f"{group}/{served}",
        "kind": kind,
        "metadata": {"name": name, **metadata},
        "spec": {"host": "host"} if spec is None else spec,
    }


INSTANCES: tuple[Json, ...] = (
    {"host": "host"}, {}, {"host": 5}, {"host": "x"}, {"host": "x" * 11}, {"host": "UPPER"}, {"host": "host", "port": 0}, {"host": "host", "port": "x"}, {"host": "host", "port": 1.5}, {"host": "host", "port": 2.0},
    {"host": "host", "ratio": 1}, {"host": "host", "ratio": 0.5}, {"host": "host", "mode": "C"}, {"host": "host", "flag": None}, {"host": "host", "mode": None}, {"host": "host", "any": "5%"}, {"host": "host", "any": 5}, {"host": "host", "any": True},
    {"host": "host", "free": {"x": {"y": [1]}}}, {"host": "host", "names": []}, {"host": "host", "names": ["a", "a"]}, {"host": "host", "names": ["a", "b", "c", "d"]}, {"host": "host", "names": "a"}, {"host": "host", "names": [5]},
    {"host": "host", "rows": [{"key": "a"}, {"key": "b", "value": "w"}]}, {"host": "host", "rows": [{"key": "a"}, {"key": "a"}]}, {"host": "host", "rows": [{"value": "x"}]}, {"host": "host", "map": {"a": 1}}, {"host": "host", "map": {"a": 1, "b": 2}},
    {"host": "host", "map": {"a": "1"}}, {"host": "host", "map": {"a": 1, "b": 2, "c": 3}, "port": 200}, {"host": "host", "when": "2020-01-01T00:00:00Z"}, {"host": "host", "when": "yesterday"}, {"host": "host", "choice": {"a": "1"}}, {"host": "host", "choice": {}},
    {"host": "host", "choice": {"a": "1", "b": "2"}}, {"host": "host", "limited": 2}, {"host": "host", "limited": 3}, {"host": "host", "unknown": {"x": 1}}, {"host": "host", "rows": [{"key": "a", "no": 1}]}, {"host": "", "port": -1, "mode": "x"},
)  # fmt: skip


def made(group: str, *versions: Json, **spec: Any) -> list[Request]:
    """Make a definition of things in ``group`` and ask until it is served (asking is no part of what is compared)."""
    whole = definition(group, "things", "Thing", list(versions) or None)
    whole["spec"].update(spec)
    return [post(CRDS, whole), *settle(f"/apis/{group}/{(versions[0] if versions else {'name': 'v1'})['name']}/things")]


def settle(path: str) -> list[Request]:
    return [Request(method="SETTLE", path=path)]


def scenes() -> Iterator[Scene]:
    whole = version(spec=SPEC)
    group = "instances.example"
    at = named(f"{group}/v1", "things")
    yield scene(
        "definitions",
        "instances",
        *made(group, whole),
        *(post(at, thing(group, f"n{index}", spec=spec)) for index, spec in enumerate(INSTANCES)),
    )
    yield scene(
        "definitions", "bodies", *made("bodies.example", whole), *(post(named("bodies.example/v1", "things"), body) for body in (
            {"metadata": {"name": "a"}, "spec": {"host": "host"}}, {**thing("bodies.example", "b"), "extra": 1}, {**thing("bodies.example", "c"), "kind": "Other"}, {**thing("bodies.example", "d"), "apiVersion": "bodies.example/v2"},
            {**thing("bodies.example", "e"), "spec": []}, {**thing("bodies.example", "f"), "spec": None}, {**thing("bodies.example", "Upper")}, thing("bodies.example", "labels", labels={"a": "b/c"}), thing("bodies.example", "odd", nothing=1), thing("bodies.example", "num", labels={"a": 1}),
            {**thing("bodies.example", "status"), "status": {"x": 1}}, "{", "[]", "")),
        post(named("bodies.example/v1", "things") + "?fieldValidation=Strict", {**thing("bodies.example", "s"), "extra": 1, "spec": {"host": "host", "no": 1}}), post(named("bodies.example/v1", "things") + "?fieldValidation=Ignore", {**thing("bodies.example", "i"), "extra": 1}),
        post(named("bodies.example/v1", "things") + "?fieldValidation=Strict", thing("bodies.example", "deep", spec={"host": "host", "rows": [{"key": "a", "no": 1}]})), post("/apis/bodies.example/v1/things", thing("bodies.example")),
    )  # fmt: skip
    one = named("changes.example/v1", "things", "one")
    yield scene(
        "definitions", "changes", *made("changes.example", version(spec=SPEC, subresources={"status": {}})), post(named("changes.example/v1", "things"), {**thing("changes.example", spec={"host": "host", "kept": "a"}), "status": {"x": 1}}, keep={"rv": "metadata.resourceVersion"}),
        merge(one, {"spec": {"kept": "b"}}), merge(one, {"spec": {"port": 90}}), merge(one, {"spec": {"host": None}}), put(one, thing("changes.example", spec={"host": "other"})), put(one, thing("changes.example", spec={"host": "other"}, resourceVersion="$rv")),
        merge(one, {"metadata": {"labels": {"a": "b"}}}), merge(one, {"status": {"x": 2}}), merge(one + "/status", {"status": {"x": 2}, "spec": {"port": 1}}), get(one + "/status"), put(one + "/status", {**thing("changes.example"), "status": {"y": 1}}),
        patch(one, [{"op": "add", "path": "/spec/rows", "value": [{"key": "a"}]}]), patch(one, [{"op": "remove", "path": "/spec/host"}]), Request(method="PATCH", path=one, body={"spec": {}}, content_type=STRATEGIC), get(one + "/scale"),
        merge(one, {"spec": {"no": 1}}), merge(one + "?fieldValidation=Strict", {"spec": {"no": 1}}), delete(one), delete(one),
    )  # fmt: skip
    rows = named("apply.example/v1", "things", "one")

    def applied(**spec: Any) -> Json:
        return thing("apply.example", spec=spec)

    yield scene(
        "definitions", "apply", *made("apply.example", version(spec=SPEC, subresources={"status": {}})), apply(rows, applied(host="host", rows=[{"key": "a", "other": "1"}])), apply(rows, applied(host="host", rows=[{"key": "b"}]), "two"), apply(rows, applied(host="other"), "two"),
        apply(rows, applied(host="host", names=["x"]), "two"), apply(rows, applied(host="host", names=["y"]), "three"), apply(rows, applied(host="host")), apply(rows, applied(host="host", free={"a": {"b": 1}}), "four"), apply(rows, applied(host="host", free={"a": {"c": 1}}), "five"),
        apply(rows, applied(host="host", no=1), "six"), apply(rows + "?fieldValidation=Strict", applied(host="host", no=1), "six"), apply(rows, applied(host="UPPER"), "six"), apply(rows + "/status", {**thing("apply.example"), "status": {"x": 1}}, "status"),
        Request(method="PATCH", path=rows + "?fieldManager=a", body={"spec": {"host": "host"}}, content_type=APPLY), apply(rows, thing("apply.example", "two")), get(rows, only=("spec", "status")),
    )  # fmt: skip
    columns = [
        {"name": "Host", "type": "string", "jsonPath": ".spec.host"},
        {"name": "Port", "type": "integer", "jsonPath": ".spec.port", "priority": 1, "description": "the port"},
        {"name": "Made", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Names", "type": "string", "jsonPath": ".spec.names[*]"},
    ]
    scaled = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    replicas = {
        "type": "object",
        "properties": {
            "replicas": {"type": "integer"},
            "host": {"type": "string"},
            "names": {"type": "array", "items": {"type": "string"}},
            "port": {"type": "integer"},
        },
    }
    two = version("v2", replicas, storage=False)
    shown = named("shown.example/v1", "things")
    yield scene(
        "definitions", "shown", *made("shown.example", version(spec=replicas, subresources=scaled, additionalPrinterColumns=columns, selectableFields=[{"jsonPath": ".spec.host"}]), two, names={"plural": "things", "kind": "Thing", "shortNames": ["th"], "categories": ["all"]}),
        *(post(shown, thing("shown.example", name, spec={"host": name, "replicas": 2, "names": ["a", "b"], "port": 5})) for name in ("one", "two")), get(shown, accept=TABLE, only=("columnDefinitions",)), get(shown + "/one", accept=TABLE, only=("columnDefinitions",)),
        get(named("shown.example/v2", "things"), accept=TABLE, only=("columnDefinitions",)), get(shown + "?fieldSelector=spec.host%3Done", only=("items[].metadata.name",)), get(shown + "?fieldSelector=spec.port%3D5"), get(shown + "?fieldSelector=metadata.name%3Dtwo", only=("items[].metadata.name",)),
        get(shown + "/one/scale"), put(shown + "/one/scale", {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "one"}, "spec": {"replicas": 4}}), merge(shown + "/one/scale", {"spec": {"replicas": 5}}), put(shown + "/one/scale", {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "one"}, "spec": {"replicas": -1}}),
        get(named("shown.example/v2", "things", "one")), get(named("shown.example/v3", "things", "one")), get("/apis/shown.example/v1"), get("/apis/shown.example/v2"), get("/apis/shown.example"), get(shown + "/one/status"),
        post(named("shown.example/v2", "things"), thing("shown.example", "three", served="v2", spec={"host": "h"})), get(shown + "/three"), merge(shown + "/one/status", {"status": {"replicas": 3, "selector": "a=b"}}), get(shown + "/one/scale"),
    )  # fmt: skip
    name = CRDS + "/things.life.example"
    yield scene(
        "definitions", "life", *made("life.example"), get(name, only=("spec", "status.acceptedNames", "status.storedVersions", "metadata.finalizers")), post(CRDS, definition("life.example", "things", "Thing")), merge(name, {"spec": {"scope": "Cluster"}}), merge(name, {"spec": {"group": "other.example"}}),
        merge(name, {"spec": {"names": {"kind": "Other"}}}, only=("code", "spec.names", "message")), get(CRDS + "/none.example"), post(named("life.example/v1", "things"), thing("life.example", finalizers=["a.example/b"])), delete(name, only=("kind", "metadata.finalizers", "metadata.name")),
        post(named("life.example/v1", "things"), thing("life.example", "late"), only=("code", "reason")),
    )  # fmt: skip

    def broken(index: int, versions: list[Json] | None = None, **spec: Any) -> Request:
        whole = definition("broken.example", f"b{index}s", f"B{index}", versions)
        whole["spec"].update(spec)
        if "group" in spec:
            whole["metadata"]["name"] = f"b{index}s.{spec['group']}"
        return post(CRDS, whole)

    def schema(inner: Json, **more: Any) -> list[Json]:
        return [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": inner}}},
                **more,
            }
        ]

    faults = [
        {}, {"type": "string", "pattern": "("}, {"type": "array"}, {"type": "object", "properties": {"a": {}}}, {"type": "object", "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}}, {"type": "nothing"},
        {"type": "object", "default": {"a": 1}}, {"type": "string", "default": 5}, {"type": "array", "items": [{"type": "string"}]}, {"type": "object", "x-kubernetes-validations": [{"rule": "self.nothing"}]}, {"type": "object", "x-kubernetes-validations": [{"rule": "("}]},
        {"type": "object", "x-kubernetes-validations": [{"message": "no rule"}]}, {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map"}, {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "odd"}, {"type": "object", "properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"a": {"type": "string"}}}]},
        {"type": "string", "uniqueItems": True}, {"type": "string", "x-kubernetes-preserve-unknown-fields": True}, {"type": "integer", "x-kubernetes-int-or-string": True}, {"type": "string", "nullable": True, "enum": ["a"]}, {"type": "string", "$ref": "#/a"}, {"type": "object", "required": ["x"]},
        {"type": "array", "items": {"type": "object", "properties": {"k": {"type": "string"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}, {"type": "string", "x-kubernetes-validations": [{"rule": "self == 'a'", "message": "line\nbreak"}]}, {"type": "string", "x-kubernetes-validations": [{"rule": "self == 5"}]},
        {"type": "array", "items": {"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self.matches('^a')"}]}}}, {"type": "string", "x-kubernetes-validations": [{"rule": "'a'"}]},
    ]  # fmt: skip
    yield scene("definitions", "schemas", *(broken(index, schema(inner)) for index, inner in enumerate(faults)))
    yield scene(
        "definitions", "refused", broken(30, []), broken(31, [version(), version("v2")]), broken(32, [version(storage=False)]), broken(33, scope="Odd"), broken(34, names={"plural": "b34s"}), broken(35, group="Bad_Group"), broken(36, [version("V1")]), broken(37, [version(), version()]),
        broken(38, conversion={"strategy": "Webhook"}), broken(39, conversion={"strategy": "Odd"}), broken(40, [{"name": "v1", "served": True, "storage": True}]), broken(41, [version(served=False)]), broken(42, names={"plural": "B42s", "kind": "B42"}), broken(43, preserveUnknownFields=True),
        broken(44, [version(additionalPrinterColumns=[{"name": "a", "type": "odd", "jsonPath": ".a"}])]), broken(45, [version(additionalPrinterColumns=[{"name": "a", "type": "string", "jsonPath": "a"}])]), broken(46, [version(subresources={"scale": {"specReplicasPath": ".a"}})]), broken(47, [version(selectableFields=[{"jsonPath": ".spec.none"}])]),
        broken(48, group="nodots"), broken(49, names={"plural": "b49s", "kind": "b49 bad"}), broken(50, group="x.k8s.io"), post(CRDS, {"metadata": {"name": "x"}}), post(CRDS, {**definition("broken.example", "xs", "X"), "metadata": {"name": "wrong"}}),
    )  # fmt: skip
