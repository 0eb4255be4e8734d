"""JSON patch, merge patch and strategic merge with its directives."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, container, deployment, pod, service
from scenes import Scene, core, get, merge, named, patch, post, scene, strategic

ONE = core("configmaps", "one")
SERVICE = core("services", "one")
DEPLOYMENT = named("apps/v1", "deployments", "one")
CONTAINERS = ("spec.template.spec", "metadata.generation", "message", "reason", "code", "details")
PORTS = ("spec.ports", "message", "reason", "code", "details")


def scenes() -> Iterator[Scene]:
    made = post(
        core("configmaps"),
        config_map(data={"a": "1", "b": "2"}, labels={"x": "y"}),
        keep={"rv": "metadata.resourceVersion"},
    )
    yield scene(
        "patching", "json", made,
        patch(ONE, [{"op": "replace", "path": "/data/a", "value": "3"}]), patch(ONE, [{"op": "add", "path": "/data/c", "value": "4"}]),
        patch(ONE, [{"op": "remove", "path": "/data/c"}]), patch(ONE, [{"op": "remove", "path": "/data/none"}]),
        patch(ONE, [{"op": "test", "path": "/data/a", "value": "3"}]), patch(ONE, [{"op": "test", "path": "/data/a", "value": "wrong"}]),
        patch(ONE, [{"op": "move", "from": "/data/a", "path": "/data/d"}]), patch(ONE, [{"op": "copy", "from": "/data/d", "path": "/data/e"}]),
        patch(ONE, [{"op": "nothing", "path": "/data/a"}]), patch(ONE, {"op": "add"}), patch(ONE, "rubbish"), patch(ONE, []),
        patch(ONE, [{"op": "add", "path": "/metadata/labels/a~1b", "value": "c"}]), patch(ONE, [{"op": "replace", "path": "/metadata/name", "value": "two"}]),
        patch(ONE, [{"op": "add", "path": "/data/f", "value": 5}]), patch(ONE, [{"op": "replace", "path": "/data/none", "value": "x"}]),
        patch(ONE, [{"op": "add", "path": "/none/deep", "value": "x"}]), patch(ONE, [{"op": "replace", "path": "/metadata/uid", "value": "x"}]),
        patch(ONE, [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}]), patch(core("configmaps", "none"), []),
        patch(ONE, [{"op": "add", "path": "/nothing", "value": 1}]), patch(f"{ONE}?fieldValidation=Strict", [{"op": "add", "path": "/nothing", "value": 1}]),
        patch(ONE, [{"op": "add", "path": "/data/x"}]), patch(ONE, [{"op": "add", "path": "data", "value": {}}]), patch(ONE, [{"path": "/data/a"}]),
        patch(ONE, [{"op": "remove", "path": "/metadata/labels"}]), patch(ONE, [{"op": "remove", "path": ""}]),
    )  # fmt: skip
    yield scene(
        "patching", "merge", made,
        merge(ONE, {"data": {"a": "3", "b": None}}), merge(ONE, {"data": None}), merge(ONE, {"data": {"z": "1"}}), merge(ONE, {}),
        merge(ONE, []), merge(ONE, "{"), merge(ONE, "null"), merge(ONE, {"metadata": {"labels": None}}), merge(ONE, {"metadata": {"name": "two"}}),
        merge(ONE, {"metadata": {"resourceVersion": "$rv"}, "data": {"y": "1"}}), merge(ONE, {"metadata": {"resourceVersion": None}}),
        merge(ONE, {"metadata": {"uid": "x"}}), merge(ONE, {"kind": "Secret"}), merge(ONE, {"data": {"y": 5}}), merge(ONE, {"data": []}),
        merge(ONE, {"nothing": {"a": 1}}), merge(f"{ONE}?fieldValidation=Strict", {"nothing": {"a": 1}}), merge(core("configmaps", "none"), {}),
        merge(f"{ONE}?dryRun=All", {"data": {"dry": "1"}}), get(ONE), merge(f"{ONE}?force=true", {}), merge(ONE, {"metadata": {"managedFields": []}}),
        merge(ONE, {"metadata": {"managedFields": [{}]}}), get(ONE), merge(ONE, {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u"}]}}),
        merge(ONE, {"metadata": {"generateName": "other-"}}), merge(ONE, {"metadata": {"labels": {"bad key": "x"}}}),
    )  # fmt: skip
    two = deployment(template={"metadata": {"labels": {"app": "one"}}, "spec": {
        "containers": [container(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], args=["x"]), container(name="side")],
        "volumes": [{"name": "v", "emptyDir": {}}]}})  # fmt: skip

    def inner(**spec: object) -> dict[str, object]:
        return {"spec": {"template": {"spec": spec}}}

    yield scene(
        "patching", "strategic", post(named("apps/v1", "deployments"), two),
        strategic(DEPLOYMENT, inner(containers=[{"name": "main", "image": "new"}]), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(containers=[{"name": "main", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]}]), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(containers=[{"name": "side", "$patch": "delete"}]), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(containers=[{"name": "third", "image": "t"}]), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(**{"$setElementOrder/containers": [{"name": "third"}, {"name": "main"}], "containers": [{"name": "third", "image": "t2"}]}), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(containers=[{"name": "main", "args": ["y", "z"]}]), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(volumes=[{"name": "v", "$retainKeys": ["name", "configMap"], "configMap": {"name": "c"}}]), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(volumes=[{"$patch": "replace"}, {"name": "w", "emptyDir": {}}]), only=CONTAINERS),
        strategic(DEPLOYMENT, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}, only=("spec.strategy", "message")),
        strategic(DEPLOYMENT, {"metadata": {"annotations": {"a": "b"}}}, only=("metadata.annotations",)), strategic(DEPLOYMENT, {"metadata": {"annotations": None}}, only=("metadata.annotations",)),
        strategic(DEPLOYMENT, inner(containers=[{"image": "nameless"}])), strategic(DEPLOYMENT, inner(containers=[{"name": "main", "$patch": "nothing"}])),
        strategic(DEPLOYMENT, inner(containers="text")), strategic(DEPLOYMENT, []), strategic(DEPLOYMENT, {"spec": {"nothing": 1}}, only=("spec.nothing", "message")),
        strategic(f"{DEPLOYMENT}?fieldValidation=Strict", {"spec": {"nothing": 1}}), strategic(DEPLOYMENT, {"$patch": "delete"}),
        strategic(DEPLOYMENT, {"spec": {"template": {"metadata": {"labels": {"$patch": "replace", "app": "one", "z": "1"}}}}}, only=("spec.template.metadata",)),
        strategic(DEPLOYMENT, inner(**{"$setElementOrder/containers": [{"name": "none"}], "containers": [{"name": "main", "image": "b"}]}), only=CONTAINERS),
        strategic(DEPLOYMENT, inner(tolerations=[{"key": "a", "operator": "Exists"}]), only=CONTAINERS), strategic(DEPLOYMENT, inner(tolerations=[{"key": "b", "operator": "Exists"}]), only=CONTAINERS),
    )  # fmt: skip
    yield scene(
        "patching", "strategic-ports", post(core("services"), service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 81}])),
        strategic(SERVICE, {"spec": {"ports": [{"port": 80, "targetPort": 9}]}}, only=PORTS), strategic(SERVICE, {"spec": {"ports": [{"port": 82, "name": "c"}]}}, only=PORTS),
        strategic(SERVICE, {"spec": {"ports": [{"port": 81, "$patch": "delete"}]}}, only=PORTS), strategic(SERVICE, {"spec": {"ports": None}}, only=PORTS),
        strategic(SERVICE, {"spec": {"selector": {"$patch": "replace", "q": "r"}}}, only=("spec.selector",)), strategic(SERVICE, {"spec": {"selector": {"q": None}}}, only=("spec.selector",)),
        merge(SERVICE, {"spec": {"ports": [{"port": 1}]}}, only=PORTS),
    )  # fmt: skip
    fin = core("configmaps", "fin")
    names = ("metadata.finalizers", "metadata.ownerReferences", "message", "code")
    yield scene(
        "patching", "strategic-sets", post(core("configmaps"), config_map("fin", finalizers=["a.example/a"])),
        strategic(fin, {"metadata": {"finalizers": ["a.example/b"]}}, only=names),
        strategic(fin, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.example/a"]}}, only=names),
        strategic(fin, {"metadata": {"$setElementOrder/finalizers": ["a.example/c", "a.example/b"], "finalizers": ["a.example/c"]}}, only=names),
        strategic(fin, {"metadata": {"ownerReferences": [{"uid": "u", "apiVersion": "v1", "kind": "Pod", "name": "p"}]}}, only=names),
        strategic(fin, {"metadata": {"ownerReferences": [{"uid": "u", "$patch": "delete"}]}}, only=names),
        post(core("pods"), pod()), strategic(core("pods", "one", "status"), {"status": {"conditions": [{"type": "Ready", "status": "True"}], "phase": "Running"}}),
        strategic(core("pods", "one", "status"), {"status": {"conditions": [{"type": "Ready", "status": "False"}, {"type": "Other", "status": "True"}]}}, only=("status", "message")),
    )  # fmt: skip
