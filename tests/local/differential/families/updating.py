"""Update: conflicts, immutable fields, writes that change nothing, generations."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, container, deployment, pod, role_binding, secret, service
from scenes import Scene, core, get, merge, named, post, put, scene

ONE = core("configmaps", "one")
POD = core("pods", "one")
DEPLOYMENT = named("apps/v1", "deployments", "one")
BINDING = named("rbac.authorization.k8s.io/v1", "rolebindings", "one")


def scenes() -> Iterator[Scene]:
    made = post(core("configmaps"), config_map(), keep={"rv": "metadata.resourceVersion", "uid": "metadata.uid"})
    yield scene(
        "updating", "versions", made,
        put(ONE, config_map(data={"a": "2"})), put(ONE, config_map(data={"a": "3"}, resourceVersion="$rv")),
        put(ONE, config_map(data={"a": "3"}, resourceVersion="0")), put(ONE, config_map(resourceVersion="x")),
        put(ONE, config_map(uid="other")), put(ONE, config_map(uid="$uid")), put(core("configmaps", "none"), config_map("none")),
        put(ONE, config_map("two")), put(ONE, {"data": {"a": "4"}}), put(ONE, {**config_map(), "kind": "Secret"}),
        put(ONE, config_map(namespace="elsewhere")), put(ONE, config_map(creationTimestamp="2001-01-01T00:00:00Z", data={"q": "1"})),
        put(ONE, config_map(labels={"a": "b"})), put(ONE, config_map()), put(ONE, config_map()), put(f"{ONE}?fieldManager=other", config_map(data={"b": "1"})),
        put(f"{ONE}?fieldManager={'x' * 200}", config_map()), put(f"{ONE}?fieldValidation=Strict", {**config_map(), "no": 1}),
        put(ONE, config_map(data={"a": None})), put(ONE, config_map(data={"a": "x", "bad key": "y"})), put(ONE, config_map(finalizers=["a.example/x"])),
    )  # fmt: skip
    yield scene("updating", "immutable-map", post(core("configmaps"), {**config_map(), "immutable": True}),
                merge(ONE, {"data": {"a": "2"}}), merge(ONE, {"immutable": None}), merge(ONE, {"metadata": {"labels": {"a": "b"}}}))  # fmt: skip
    yield scene("updating", "secrets", post(core("secrets"), secret()), merge(core("secrets", "one"), {"type": "other"}),
                merge(core("secrets", "one"), {"stringData": {"b": "2"}}), merge(core("secrets", "one"), {"immutable": True}),
                merge(core("secrets", "one"), {"data": {"a": "Mg=="}}))  # fmt: skip
    yield scene(
        "updating", "pods", post(core("pods"), pod()), merge(POD, {"spec": {"nodeName": "a"}}),
        merge(POD, {"metadata": {"labels": {"b": "c"}}}), merge(POD, {"spec": {"activeDeadlineSeconds": 5}}),
        merge(POD, {"spec": {"containers": [container(image="other:2")]}}, only=("code", "reason")),
        merge(POD, {"spec": {"hostNetwork": True}}, only=("code", "reason")), merge(POD, {"spec": {"terminationGracePeriodSeconds": 3}}, only=("code", "reason")),
        merge(POD, {"spec": {"tolerations": []}}, only=("code", "reason")), merge(POD, {"spec": {"serviceAccountName": "other"}}, only=("code", "reason")),
        put(POD, pod(), only=("code", "reason")),
    )  # fmt: skip
    yield scene(
        "updating", "services", post(core("services"), service()), merge(core("services", "one"), {"spec": {"clusterIP": "10.96.9.9"}}, only=("code", "reason", "message")),
        merge(core("services", "one"), {"spec": {"clusterIP": "None"}}, only=("code", "reason", "message")),
        merge(core("services", "one"), {"spec": {"type": "NodePort"}}), merge(core("services", "one"), {"spec": {"type": "ClusterIP"}}),
        put(core("services", "one"), service()), put(core("services", "one"), service(ports=[{"port": 81}])),
        merge(core("services", "one"), {"spec": {"type": "ExternalName", "externalName": "a.example", "clusterIP": "", "clusterIPs": None}}),
    )  # fmt: skip
    yield scene(
        "updating", "deployments", post(named("apps/v1", "deployments"), deployment()),
        merge(DEPLOYMENT, {"spec": {"replicas": 3}}), merge(DEPLOYMENT, {"spec": {"replicas": -1}}),
        merge(DEPLOYMENT, {"spec": {"selector": {"matchLabels": {"app": "two"}}}}), merge(DEPLOYMENT, {"metadata": {"annotations": {"a": "b"}}}),
        merge(DEPLOYMENT, {"status": {"replicas": 3}}), merge(DEPLOYMENT, {"spec": {"strategy": {"type": "Recreate"}}}),
        merge(DEPLOYMENT, {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}}), put(DEPLOYMENT, deployment()), get(DEPLOYMENT),
        merge(DEPLOYMENT, {"spec": {"template": {"spec": {"containers": [container(image="new")]}}}}),
    )  # fmt: skip
    yield scene("updating", "bindings", post(named("rbac.authorization.k8s.io/v1", "rolebindings"), role_binding()),
                merge(BINDING, {"roleRef": {"name": "two"}}), merge(BINDING, {"subjects": []}), merge(BINDING, {"subjects": [{"kind": "User", "name": "x"}]}))  # fmt: skip
