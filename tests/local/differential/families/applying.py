"""Server-side apply: ownership, conflicts, force, what is given up, lists by key, status."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, container, deployment, service
from scenes import APPLY, Request, Scene, apply, core, get, merge, named, post, put, scene

ONE = core("configmaps", "one")
SERVICE = core("services", "one")
DEPLOYMENT = named("apps/v1", "deployments", "one")


def scenes() -> Iterator[Scene]:
    yield scene(
        "applying", "maps", apply(ONE, config_map(data={"a": "1", "b": "2"})), apply(ONE, config_map(data={"a": "1", "b": "2"})),
        apply(ONE, config_map(data={"a": "1"})), apply(ONE, config_map(data={"a": "9"}), "two"), apply(ONE, config_map(data={"a": "1"}), "two"),
        apply(ONE, config_map(data={"a": "2"}), "one"), apply(f"{ONE}?force=true", config_map(data={"a": "2"}), "one"), get(ONE),
        apply(ONE, config_map(data={}), "one"), apply(ONE, config_map(data={"c": "3"}), "two"), merge(ONE, {"data": {"c": "4"}}), apply(ONE, config_map(data={"c": "5"}), "two"),
        apply(ONE, config_map(data={"c": "4"}), "two"), put(ONE, config_map(data={"c": "6"})), apply(ONE, config_map(data={"c": "7", "d": "8"}), "two"),
        apply(f"{ONE}?dryRun=All&force=true", config_map(data={"c": "7"}), "two"), apply(f"{ONE}?force=true", config_map(data={"c": "7"}), "two"),
    )  # fmt: skip
    yield scene(
        "applying", "metadata", apply(ONE, config_map(labels={"a": "1"}, annotations={"n": "1"})), apply(ONE, config_map(labels={"a": "2"}), "two"),
        apply(ONE, config_map(labels={"b": "1"}), "two"), apply(ONE, config_map(finalizers=["a.example/a"]), "two"), apply(ONE, config_map(finalizers=["a.example/b"]), "three"),
        apply(ONE, config_map(finalizers=[]), "two"), apply(ONE, config_map(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]), "two"),
        apply(ONE, config_map(ownerReferences=[{"apiVersion": "v1", "kind": "Pod", "name": "q", "uid": "v"}]), "three"), get(ONE),
    )  # fmt: skip
    yield scene(
        "applying", "refused", apply(ONE, {"data": {"a": "1"}}), apply(ONE, {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}), apply(ONE, config_map("two")),
        Request(method="PATCH", path=ONE, body=config_map(), content_type=APPLY),
        apply(ONE, config_map(managedFields=[{"manager": "x"}])), apply(ONE, "a: [", "one"), apply(ONE, "[]", "one"), apply(ONE, {**config_map(), "kind": "Secret"}),
        apply(ONE, {**config_map(), "no": 1}), apply(f"{ONE}?fieldValidation=Strict", {**config_map(), "no": 1}), apply(ONE, config_map(data={"a": 5})), apply(ONE, config_map(data={"bad key": "x"})),
        apply(ONE, config_map(uid="unknown")), apply(ONE, config_map(resourceVersion="5")), apply(ONE, config_map()), apply(ONE, config_map(resourceVersion="5", data={"z": "1"})),
        apply(ONE, config_map(data={"a": None})), merge(f"{ONE}?force=true", {"data": {"a": "2"}}), apply(f"{ONE}?force=maybe", config_map()),
        apply(core("configmaps", "yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: 'b'\n", "one"),
        apply(core("services", "bad"), service("bad", ports=[{"port": 80}, {"port": 80}])), apply(core("configmaps", "made"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}),
        apply("/api/v1/namespaces/nowhere/configmaps/one", config_map()), apply(core("services", "nil"), service("nil", ports=None)),
    )  # fmt: skip
    spec = ("spec.ports", "metadata.managedFields", "message", "reason", "code", "details")
    yield scene(
        "applying", "ports", apply(SERVICE, service(ports=[{"name": "a", "port": 80}]), only=spec), apply(SERVICE, {**service(ports=[{"name": "b", "port": 81}])}, "two", only=spec),
        apply(SERVICE, service(ports=[{"name": "a", "port": 80, "targetPort": 9}]), only=spec), apply(SERVICE, service(ports=[{"name": "c", "port": 80}]), "two", only=spec),
        apply(SERVICE, service(ports=[{"name": "a", "port": 90}]), only=spec), apply(SERVICE, service(ports=[{"name": "u", "port": 90, "protocol": "UDP"}]), only=spec),
        apply(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}}, "two", only=spec),
        apply(SERVICE, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}, "spec": {"selector": {"z": "1"}}}, "three", only=(*spec, "spec.selector")),
        apply(f"{SERVICE}?force=true", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}, "spec": {"selector": {"z": "1"}}}, "three", only=(*spec, "spec.selector")),
    )  # fmt: skip
    whole = ("spec", "metadata.managedFields", "metadata.generation", "message", "reason", "code", "details")
    env = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one"},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}},
    }
    side = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "one"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "s"}]}}},
    }
    replicas = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}, "spec": {"replicas": 5}}
    yield scene(
        "applying", "deployments", apply(DEPLOYMENT, deployment(replicas=2), only=whole), apply(DEPLOYMENT, replicas, "scaler", only=whole), apply(f"{DEPLOYMENT}?force=true", replicas, "scaler", only=whole),
        apply(DEPLOYMENT, deployment(), only=whole), apply(DEPLOYMENT, env, "environment", only=whole), apply(DEPLOYMENT, side, "sidecar", only=whole),
        apply(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}}, "sidecar", only=whole),
        apply(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}}, "environment", only=whole),
        apply(DEPLOYMENT + "/status", {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}, "status": {"replicas": 3}}, "status", only=("status", *whole)),
        apply(DEPLOYMENT, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}, "status": {"replicas": 7}}, "status", only=("status", *whole)),
        apply(DEPLOYMENT + "/scale", {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "one"}, "spec": {"replicas": 7}}, "hpa"),
        apply(f"{DEPLOYMENT}?force=true", deployment(template={"metadata": {"labels": {"app": "one"}}, "spec": {"containers": [container(name="renamed")]}}), only=whole),
    )  # fmt: skip
    made = post(core("configmaps"), config_map(data={"a": "1"}))
    yield scene("applying", "over-updates", made, apply(ONE, config_map(data={"a": "1"})), apply(ONE, config_map(data={"a": "2"})), apply(f"{ONE}?force=true", config_map(data={"a": "2"})),
                apply(ONE, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}), apply(ONE, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "immutable": True}))  # fmt: skip
