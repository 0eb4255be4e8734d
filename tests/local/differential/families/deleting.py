"""Delete: grace, preconditions, finalizers, propagation policies, collections, namespaces."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, deployment, pod, service
from scenes import Scene, core, delete, get, merge, named, post, put, scene

MAPS = core("configmaps")
ONE = core("configmaps", "one")


def scenes() -> Iterator[Scene]:
    yield scene("deleting", "plain", post(MAPS, config_map()), delete(ONE), delete(ONE), get(ONE))
    yield scene("deleting", "pods", post(core("pods"), pod()), delete(core("pods", "one")), get(core("pods", "one")),
                post(core("pods"), pod("two", nodeName="n")), delete(core("pods", "two")), get(core("pods", "two")),
                delete(core("pods", "two"), {"gracePeriodSeconds": 5}), delete(core("pods", "two") + "?gracePeriodSeconds=0"), get(core("pods", "two")),
                post(core("pods"), pod("three", nodeName="n", terminationGracePeriodSeconds=0)), delete(core("pods", "three")),
                post(core("pods"), pod("four", nodeName="n")), delete(core("pods", "four"), {"gracePeriodSeconds": -1}))  # fmt: skip
    yield scene("deleting", "services", post(core("services"), service()), delete(core("services", "one")))
    yield scene("deleting", "dry", post(MAPS, config_map()), delete(f"{ONE}?dryRun=All"), delete(ONE, {"dryRun": ["All"]}),
                delete(ONE, {"dryRun": ["Some"]}), get(ONE))  # fmt: skip
    yield scene(
        "deleting", "preconditions",
        post(MAPS, config_map(), keep={"uid": "metadata.uid", "rv": "metadata.resourceVersion"}),
        delete(ONE, {"preconditions": {"uid": "other"}}), delete(ONE, {"preconditions": {"resourceVersion": "1"}}),
        delete(ONE, {"preconditions": {"uid": "$uid", "resourceVersion": "$rv"}}),
    )  # fmt: skip
    yield scene(
        "deleting", "finalizers",
        post(MAPS, config_map(finalizers=["a.example/b"])), delete(ONE), delete(ONE), get(ONE, only=("metadata.finalizers", "metadata.deletionGracePeriodSeconds")),
        merge(ONE, {"metadata": {"finalizers": ["a.example/b", "a.example/c"]}}), merge(ONE, {"data": {"z": "1"}}),
        merge(ONE, {"metadata": {"finalizers": None}}), get(ONE),
    )  # fmt: skip
    yield scene(
        "deleting", "policies",
        *(post(MAPS, config_map(name)) for name in ("one", "two", "three", "four", "five")),
        delete(ONE, {"propagationPolicy": "Foreground"}), get(ONE, only=("metadata.finalizers",)),
        delete(core("configmaps", "two") + "?propagationPolicy=Orphan"), get(core("configmaps", "two"), only=("metadata.finalizers",)),
        delete(core("configmaps", "three"), {"propagationPolicy": "Background"}),
        delete(core("configmaps", "four"), {"propagationPolicy": "Nothing"}),
        delete(core("configmaps", "four"), {"orphanDependents": True}),
        delete(core("configmaps", "five"), {"orphanDependents": True, "propagationPolicy": "Orphan"}),
        post(named("apps/v1", "deployments"), deployment()), delete(named("apps/v1", "deployments", "one"), {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}),
        delete(named("apps/v1", "deployments", "one"), {"propagationPolicy": "Background"}), get(named("apps/v1", "deployments", "one"), only=("metadata.finalizers",)),
        delete(core("configmaps", "five"), {"kind": "Nothing"}), delete(core("configmaps", "five"), {"apiVersion": "v9", "kind": "DeleteOptions"}),
        delete(core("configmaps", "five"), "{"), delete(core("configmaps", "five") + "?gracePeriodSeconds=x"),
    )  # fmt: skip
    yield scene(
        "deleting", "collections",
        *(post(MAPS, config_map(name, labels={"n": name})) for name in ("one", "two", "three")),
        delete(f"{MAPS}?labelSelector=n%3Done", only=("kind", "items[].metadata.name", "status")), delete(f"{MAPS}?labelSelector=(", only=("reason", "code")),
        delete(f"{MAPS}?fieldSelector=metadata.name%3Dtwo", only=("kind", "items[].metadata.name")), get(MAPS, only=("items[].metadata.name",)),
        delete(f"{MAPS}?dryRun=All", only=("kind",)), delete(MAPS, only=("kind", "items[].metadata.name")), get(MAPS, only=("items[].metadata.name",)),
    )  # fmt: skip
    yield scene(
        "deleting", "namespace", post(MAPS, config_map(finalizers=["a.example/b"])), delete("/api/v1/namespaces/$ns"),
        get("/api/v1/namespaces/$ns"), post(MAPS, config_map("late")), delete("/api/v1/namespaces/$ns"),
        put("/api/v1/namespaces/$ns/finalize", {"metadata": {"name": "$ns"}, "spec": {}}), get("/api/v1/namespaces/$ns"),
        delete("/api/v1/namespaces/default"), delete("/api/v1/namespaces/kube-system"), delete("/api/v1/namespaces/none"),
    )  # fmt: skip
