"""Who may do what: credentials, tokens, RBAC, access reviews, impersonation."""

from __future__ import annotations

from collections.abc import Iterator

from families.samples import config_map, role, role_binding
from scenes import Request, Scene, core, delete, get, merge, named, post, put, scene

RBAC = "rbac.authorization.k8s.io/v1"
SELF = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
TOKENS = "/apis/authentication.k8s.io/v1/tokenreviews"
MAPS = core("configmaps")


def bob(audience: str | None = None) -> list[Request]:
    """Make the account ``bob`` and keep its token as ``$token``."""
    spec = {} if audience is None else {"audiences": [audience]}
    return [
        post(core("serviceaccounts"), {"metadata": {"name": "bob"}}),
        post(
            core("serviceaccounts", "bob", "token"),
            {"spec": spec},
            keep={"token": "status.token"},
            only=("kind", "spec"),
        ),
    ]


def asks(**attributes: str) -> dict[str, object]:
    return {"spec": {"resourceAttributes": {"namespace": "$ns", **attributes}}}


def settle(path: str) -> Request:
    """Ask as bob until he may: his right is no part of what is compared."""
    return Request(method="SETTLE", path=path, token="$token")


def scenes() -> Iterator[Scene]:
    header = "Authorization"
    yield scene(
        "access", "credentials", get(MAPS, token=""), get(MAPS, token="rubbish"), get(MAPS, token="a.b.c"), get(MAPS, token="", headers={header: "Basic YTpi"}), get(MAPS, token="", headers={header: "Bearer"}), get(MAPS, token="", headers={header: "Bearer "}),
        get("/api", token=""), get("/apis", token=""), get("/version", token=""), get("/healthz", token=""), get("/readyz", token=""), get("/nothing", token=""), post(MAPS, config_map(), token=""), get("/openapi/v3", token="", only=("code", "message")), delete(core("configmaps", "one"), token=""),
    )  # fmt: skip
    yield scene(
        "access", "rights", *bob(), post(MAPS, config_map()), get(MAPS, token="$token"), get(core("configmaps", "one"), token="$token"), post(MAPS, config_map("two"), token="$token"), delete(core("configmaps", "one"), token="$token"), put(core("configmaps", "one"), config_map(), token="$token"),
        merge(core("configmaps", "one"), {}, token="$token"), get("/api/v1/nodes", token="$token"), get("/api/v1/namespaces", token="$token"), get("/api/v1/namespaces/$ns", token="$token"), delete(MAPS, token="$token"), get(f"{MAPS}?watch=true", token="$token", events=1), get(named("apps/v1", "deployments", "a", "scale"), token="$token"),
        post(core("pods", "a", "exec"), None, token="$token"), get("/api", token="$token", only=("kind",)), get("/metrics", token="$token"), get("/openapi/v3", token="$token", only=("code", "message")), get("/nothing", token="$token"), get("/apis/nobody.example/v1/things", token="$token"),
        post(named(RBAC, "roles"), role()), post(named(RBAC, "rolebindings"), role_binding()), settle(MAPS), get(MAPS, token="$token", only=("kind", "items[].metadata.name")), get(core("configmaps", "one"), token="$token", only=("kind", "data")), post(MAPS, config_map("two"), token="$token"), get("/api/v1/configmaps", token="$token"),
        get(f"{MAPS}?watch=true", token="$token", events=1), get("/api/v1/namespaces/default/configmaps", token="$token"), get(core("secrets"), token="$token"),
        put(named(RBAC, "roles", "one"), role(rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])), settle(core("secrets")), post(MAPS, config_map("three"), token="$token", only=("kind", "data")), delete(core("configmaps", "three"), token="$token", only=("kind", "status")), get("/api/v1/nodes", token="$token"),
        put(named(RBAC, "roles", "one"), role(rules=[{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["one"], "verbs": ["get", "patch"]}, {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get"]}])), Request(method="SETTLE", path=core("configmaps", "one"), token="$token"),
        get(core("configmaps", "one"), token="$token", only=("kind",)), get(core("configmaps", "two"), token="$token"), get(MAPS, token="$token"), get(f"{MAPS}?fieldSelector=metadata.name%3Done", token="$token"), get(named("apps/v1", "deployments", "a", "scale"), token="$token"), get(named("apps/v1", "deployments", "a"), token="$token"),
        delete(named(RBAC, "rolebindings", "one")), get(core("configmaps", "one"), token="$token"), delete(core("serviceaccounts", "bob"), only=("kind", "status")), get(MAPS, token="$token"),
    )  # fmt: skip
    groups = {"kind": "Group", "name": "system:serviceaccounts:$ns", "apiGroup": "rbac.authorization.k8s.io"}
    viewer = {
        "apiVersion": RBAC,
        "kind": "RoleBinding",
        "metadata": {"name": "view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:aggregate-to-view"},
        "subjects": [groups],
    }
    everything = {
        "apiVersion": RBAC,
        "kind": "ClusterRole",
        "metadata": {"name": "$ns"},
        "rules": [
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
            {"nonResourceURLs": ["/metrics", "/a/*"], "verbs": ["get"]},
        ],
    }
    bound = {
        "apiVersion": RBAC,
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "$ns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "$ns"},
        "subjects": [groups],
    }
    yield scene(
        "access", "cluster-roles", *bob(), post(named(RBAC, "rolebindings"), viewer), settle(MAPS), get(MAPS, token="$token", only=("kind",)), get(core("secrets"), token="$token"), post(MAPS, config_map(), token="$token"), get("/api/v1/configmaps", token="$token"),
        post(f"/apis/{RBAC}/clusterroles", everything), post(f"/apis/{RBAC}/clusterrolebindings", bound), settle("/api/v1/nodes"), get("/api/v1/nodes", token="$token", only=("kind",)), get("/api/v1/nodes/a", token="$token"), get("/a/b", token="$token"), get("/b", token="$token"),
        post(named(RBAC, "roles"), role("mine"), token="$token"), get(f"/apis/{RBAC}/clusterroles/cluster-admin", only=("kind", "rules")), get(f"/apis/{RBAC}/clusterroles/nothing"), get(f"/apis/{RBAC}/clusterrolebindings/cluster-admin", only=("roleRef", "subjects")),
        post(named(RBAC, "rolebindings"), {**viewer, "metadata": {"name": "edit"}, "roleRef": {**viewer["roleRef"], "name": "system:aggregate-to-edit"}}), settle(core("secrets")), post(MAPS, config_map("by-bob"), token="$token", only=("kind", "data")), get(core("secrets"), token="$token", only=("kind",)), post(named(RBAC, "roles"), role("mine"), token="$token"),
        post(named(RBAC, "rolebindings"), {**viewer, "metadata": {"name": "admin"}, "roleRef": {**viewer["roleRef"], "name": "system:aggregate-to-admin"}}), settle(named(RBAC, "roles")), post(named(RBAC, "roles"), role("mine"), token="$token", only=("kind", "rules")), post(named(RBAC, "roles"), role("more", [{"apiGroups": ["odd.example"], "resources": ["*"], "verbs": ["*"]}]), token="$token", only=("code", "reason")),
    )  # fmt: skip
    yield scene(
        "access", "reviews", *bob(), post(SELF, asks(verb="get", resource="configmaps")), post(SELF, asks(verb="get", resource="configmaps"), token="$token"), post(named(RBAC, "roles"), role()), post(named(RBAC, "rolebindings"), role_binding()), settle(MAPS),
        post(SELF, asks(verb="get", resource="configmaps"), token="$token"), post(SELF, asks(verb="delete", resource="configmaps"), token="$token"), post(SELF, {"spec": {"nonResourceAttributes": {"path": "/healthz", "verb": "get"}}}, token="$token"), post(SELF, {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}}, token="$token"),
        post(SELF, {"spec": {}}), post(SELF, {}), post(SELF, {"spec": {"resourceAttributes": {"verb": "get"}, "nonResourceAttributes": {"verb": "get"}}}), post(SELF, {**asks(verb="get", resource="pods"), "metadata": {"name": "x"}}), post(REVIEW, {"spec": {"user": "system:serviceaccount:$ns:bob", "resourceAttributes": {"namespace": "$ns", "verb": "list", "resource": "configmaps"}}}),
        post(REVIEW, {"spec": {"user": "nobody", "resourceAttributes": {"verb": "list", "resource": "configmaps"}}}), post(REVIEW, {"spec": {"groups": ["system:masters"], "resourceAttributes": {"verb": "list", "resource": "configmaps"}}}), post(REVIEW, {"spec": {"resourceAttributes": {"verb": "list", "resource": "configmaps"}}}), post(REVIEW, asks(verb="get", resource="configmaps"), token="$token"),
        post(named("authorization.k8s.io/v1", "localsubjectaccessreviews"), {"spec": {"user": "nobody", "resourceAttributes": {"namespace": "$ns", "verb": "list", "resource": "configmaps"}}}), post(named("authorization.k8s.io/v1", "localsubjectaccessreviews"), {"spec": {"user": "nobody", "resourceAttributes": {"namespace": "other", "verb": "list", "resource": "configmaps"}}}),
        post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": "$ns"}}, token="$token", only=("kind", "status.resourceRules", "status.incomplete")), post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {}}), post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}), post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token="$token"),
        post(f"{SELF}?dryRun=All", asks(verb="get", resource="configmaps")), get(SELF), post(SELF, "{"), delete(SELF),
    )  # fmt: skip
    yield scene(
        "access", "token-reviews", *bob(), post(TOKENS, {"spec": {"token": "$token"}}), post(TOKENS, {"spec": {"token": "rubbish"}}), post(TOKENS, {"spec": {"token": "$token", "audiences": ["other"]}}), post(TOKENS, {"spec": {}}), post(TOKENS, {}), post(TOKENS, {"spec": {"token": "a.b.c"}}),
        post(TOKENS, {"spec": {"token": "$token"}}, token="$token"), post(TOKENS, {"spec": {"token": 5}}), post(TOKENS, {"metadata": {"name": "x"}, "spec": {"token": "$token"}}),
    )  # fmt: skip
    yield scene(
        "access",
        "audiences",
        *bob("istio-ca"),
        post(TOKENS, {"spec": {"token": "$token", "audiences": ["istio-ca", "b"]}}),
        post(TOKENS, {"spec": {"token": "$token"}}),
        get(MAPS, token="$token"),
    )
    user, group = "Impersonate-User", "Impersonate-Group"
    yield scene(
        "access", "impersonation", *bob(), get(MAPS, headers={user: "carol"}), post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers={user: "carol"}), post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers={user: "carol", group: "system:masters"}),
        post(SELF, asks(verb="get", resource="configmaps"), headers={user: "carol"}), get(MAPS, headers={group: "a"}), get(MAPS, headers={user: "carol"}, token="$token"), get(MAPS, headers={user: "system:serviceaccount:$ns:bob"}, token="$token"), get(MAPS, headers={user: "x", "Impersonate-Uid": "5"}),
        post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers={user: "system:serviceaccount:a:b"}), post("/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, headers={user: "carol", "Impersonate-Extra-Scope": "a"}),
    )  # fmt: skip
