"""status, scale, token, binding, eviction, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, deployment, pod, workload
from scenes import Scene, core, delete, get, merge, named, patch, post, put, scene

DEPLOYMENT = named("apps/v1", "deployments", "one")
POD = core("pods", "one")
SCALE = DEPLOYMENT + "/scale"


def scale(replicas: object, **metadata: str) -> dict[str, object]:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "one", "namespace": "$ns", **metadata},
        "spec": {"replicas": replicas},
    }


def scenes() -> Iterator[Scene]:
    yield scene(
        "subresources", "scale", post(named("apps/v1", "deployments"), deployment()), get(SCALE), put(SCALE, scale(3)), merge(SCALE, {"spec": {"replicas": 4}}),
        patch(SCALE, [{"op": "replace", "path": "/spec/replicas", "value": 5}]), put(SCALE, scale(-1)), put(SCALE, scale("x")), put(SCALE, scale(2, resourceVersion="1")),
        get(DEPLOYMENT), get(DEPLOYMENT + "none/scale"), post(SCALE, scale(1)), delete(SCALE), put(SCALE, {**scale(2), "kind": "Deployment"}),
        post(named("apps/v1", "statefulsets"), workload("StatefulSet", serviceName="a")), get(named("apps/v1", "statefulsets", "one", "scale")),
        post(named("apps/v1", "replicasets"), workload("ReplicaSet")), put(named("apps/v1", "replicasets", "one", "scale"), scale(2)),
        merge(SCALE + "?dryRun=All", {"spec": {"replicas": 9}}), get(SCALE),
    )  # fmt: skip
    yield scene(
        "subresources", "status", post(named("apps/v1", "deployments"), {**deployment(), "status": {"replicas": 9}}), get(DEPLOYMENT + "/status"),
        put(DEPLOYMENT + "/status", {**deployment(replicas=9), "status": {"replicas": 2, "updatedReplicas": 1}}), merge(DEPLOYMENT + "/status", {"status": {"readyReplicas": 1}, "spec": {"replicas": 8}}),
        merge(DEPLOYMENT + "/status", {"metadata": {"labels": {"a": "b"}, "finalizers": ["a.example/b"]}}), put(DEPLOYMENT, {**deployment(), "status": {"replicas": 7}}), put(DEPLOYMENT + "/status", {**deployment(), "status": {"replicas": -2}}),
        get(core("configmaps", "one", "status")), delete(DEPLOYMENT + "/status"), post(DEPLOYMENT + "/status", deployment()),
    )  # fmt: skip
    account = core("serviceaccounts", "default", "token")
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["a"]}}

    def spec(**more: object) -> dict[str, object]:
        return {"spec": more}

    yield scene(
        "subresources", "tokens", post(account, body), post(account, {}), post(account, spec(expirationSeconds=10)), post(account, spec(expirationSeconds=1 << 33)), post(account, spec(expirationSeconds=700)),
        post(account, spec(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "none"})), post(account, spec(boundObjectRef={"kind": "Thing", "apiVersion": "v1", "name": "none"})),
        post(core("serviceaccounts", "none", "token"), body), post(account, {**body, "kind": "Nothing"}), post(account, {**body, "metadata": {"name": "other"}}), post(account, spec(audiences="a")),
        post(core("pods"), pod()), post(account, spec(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "one"})), post(account, spec(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "one", "uid": "wrong"})),
        get(account), put(account, body),
    )  # fmt: skip
    yield scene(
        "subresources", "pods", post(core("pods"), pod()), post(POD + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one"}, "target": {"kind": "Node", "name": "n"}}),
        post(POD + "/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "one"}, "target": {"kind": "Node", "name": "m"}}), post(POD + "/binding", {"metadata": {"name": "one"}, "target": {"kind": "Pod", "name": "m"}}),
        get(POD, only=("spec.nodeName", "status")), post(POD + "/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}, "deleteOptions": {"dryRun": ["All"]}}),
        post(POD + "/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "other"}}), post(POD + "/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}, "deleteOptions": {"gracePeriodSeconds": 0}}),
        post(POD + "/eviction", {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one"}}), get(POD), post(core("pods", "none", "binding"), {"metadata": {"name": "none"}, "target": {"name": "n"}}),
        post(core("pods"), pod("two")), put(core("pods", "two", "status"), {**pod("two"), "status": {"phase": "Running", "podIP": "10.0.0.5"}}, only=("status", "message")),
        put(core("pods", "two", "status"), {**pod("two"), "status": {"phase": "Odd"}}, only=("status", "message", "code")),
        post(core("pods"), {**pod("three"), "status": {"phase": "Running"}}, only=("status",)), get(core("pods", "two", "nothing")),
        get(core("pods", "two", "log")), get(core("pods", "none", "log")),
    )  # fmt: skip
    yield scene("subresources", "namespaces", get("/api/v1/namespaces/$ns/status"), merge("/api/v1/namespaces/$ns/status", {"status": {"conditions": [{"type": "A", "status": "True"}]}}),
                merge("/api/v1/namespaces/$ns", {"metadata": {"labels": {"a": "b"}}}), merge("/api/v1/namespaces/$ns", {"spec": {"finalizers": []}}), merge("/api/v1/namespaces/$ns", {"metadata": {"labels": {"kubernetes.io/metadata.name": "x"}}}),
                get("/api/v1/namespaces/$ns/finalize"), post(core("configmaps"), config_map()))  # fmt: skip
