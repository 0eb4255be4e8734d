"""Discovery, legacy and aggregated; health; paths that nobody serves."""

from __future__ import annotations

from collections.abc import Iterator

from scenes import Scene, delete, get, post, put, scene

GROUPS = (
    "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1", "discovery.k8s.io/v1",
    "coordination.k8s.io/v1", "events.k8s.io/v1", "rbac.authorization.k8s.io/v1", "authentication.k8s.io/v1",
    "authorization.k8s.io/v1", "apiextensions.k8s.io/v1", "scheduling.k8s.io/v1",
)  # fmt: skip
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


def scenes() -> Iterator[Scene]:
    yield scene(
        "documents", "health",
        *(get(path) for path in ("/healthz", "/livez", "/readyz", "/healthz/ping")),
        get("/version", only=("major", "minor", "gitVersion", "platform")),
        get("/version/", only=("major", "minor")),
        get("/"),
        namespace=False,
    )  # fmt: skip
    yield scene("documents", "groups", get("/api"), get("/apis"), get("/api/v1"), namespace=False)
    for group in GROUPS:
        name = group.replace("/", "-").replace(".", "-")
        whole = get(f"/apis/{group}")
        yield scene("documents", name, whole, get(f"/apis/{group.split('/')[0]}"), namespace=False)
    yield scene(
        "documents", "aggregated",
        get("/api", accept=AGGREGATED, only=("kind", "apiVersion", "items[].metadata", "items[].versions[].version")),
        get("/apis", accept=AGGREGATED, only=("kind", "apiVersion")),
        get("/apis", accept="application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList"),
        namespace=False,
    )  # fmt: skip
    yield scene(
        "documents", "openapi",
        get("/openapi/v3/apis/apps/v1", only=("openapi", "info.title", "components.schemas.io\\.k8s")),
        get("/openapi/v3/apis/nobody.example/v1"),
        get("/openapi/v2", only=("swagger", "info.title")),
        namespace=False,
    )  # fmt: skip
    yield scene(
        "documents", "unknown",
        get("/nothing"), get("/api/v2"), get("/api/v1/nothings"), get("/apis/nobody.example"),
        get("/apis/nobody.example/v1"), get("/apis/nobody.example/v1/things"), get("/apis/apps/v9/deployments"),
        get("/api/v1/namespaces/default/nothings"), get("/api/v1/namespaces/default/nothings/one"),
        get("/api/v1/namespaces/default/configmaps/one/nothing"), get("/apis/apps/v1/nothings"),
        post("/apis/apps/v9/namespaces/default/deployments", {}),
        post("/api", {}), delete("/apis"), put("/version", {}), post("/apis/apps/v1", {}),
        post("/api/v1/configmaps", {"metadata": {"name": "a"}}),
        put("/api/v1/namespaces/default/configmaps", {}),
        delete("/api/v1/namespaces"),
        post("/api/v1/namespaces/default/configmaps/one", {"metadata": {"name": "one"}}),
        get("/api/v1/namespaces/default/serviceaccounts/one/token"),
        get("/apis/authentication.k8s.io/v1/tokenreviews"),
        namespace=False,
    )  # fmt: skip
