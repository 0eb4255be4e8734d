"""Get, lists, tables, PartialObjectMetadata, selectors, limit and continue."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from families.samples import config_map, deployment, pod, secret, service
from scenes import PARTIAL, PARTIAL_LIST, TABLE, Request, Scene, core, get, named, post, scene

LABELS = (
    "app=one", "app==one", "app!=one", "app in (one,two)", "app notin (one)", "app", "!app", "app=one,tier=x", "tier",
    "app in (one),tier!=x", "n>1", "n<3", "app=", "x.example/y=z", " app = one ", "app in ( one , two )", "app,!tier",
    "app in ()",
)  # fmt: skip
BAD_LABELS = (
    "app=one=two", "app in one", "=one", "app in (one", "-bad=one", "app=not/a/value", "a b", "app=a,,", "(", "n>x",
    "app notin", ",", "UPPER_ok=1,bad key=2", "a/b/c=1",
)  # fmt: skip
FIELDS = (
    "metadata.name=one", "metadata.name!=one", "metadata.namespace=$ns", "metadata.name=one,metadata.namespace=$ns",
    "metadata.name==two", "metadata.name=",
)  # fmt: skip
BAD_FIELDS = ("spec.nodeName=a", "nothing=1", "metadata.name", "metadata.name>a", "metadata.labels=a", "=a")


def maps() -> list[Request]:
    found = [
        config_map("one", labels={"app": "one", "tier": "x", "n": "1"}),
        config_map("two", labels={"app": "two", "n": "2"}),
        config_map("three", {"b": "2", "c": "3"}, labels={"x.example/y": "z", "n": "3"}),
        config_map("four", {}),
    ]
    return [post(core("configmaps"), body) for body in found]


def selected(parameter: str, text: str, plural: str = "configmaps") -> Request:
    query = quote(text).replace("%24ns", "$ns")
    return get(
        f"{core(plural)}?{parameter}={query}",
        only=("kind", "items[].metadata.name", "message", "reason", "code", "details"),
    )


def scenes() -> Iterator[Scene]:
    yield scene("reading", "one", *maps(), get(core("configmaps", "one")), get(core("configmaps", "none")),
                get(core("configmaps", "one"), accept=TABLE), get(core("configmaps", "one"), accept=PARTIAL),
                get(core("configmaps"), accept=TABLE), get(core("configmaps"), accept=PARTIAL_LIST), get(core("configmaps")),
                get(core("configmaps") + "?includeObject=Object", accept=TABLE), get(core("configmaps") + "?includeObject=None", accept=TABLE),
                get(core("configmaps") + "?includeObject=Wrong", accept=TABLE),
                get(core("configmaps") + "?pretty=true"), get(core("configmaps", "one") + "?resourceVersion=0"),
                get(core("configmaps", "one"), accept="text/html"), get(core("configmaps"), accept="application/yaml;as=Table"),
                get(core("configmaps", "one"), accept="image/png, application/json"),
                get(core("configmaps", "one"), accept="application/json;as=Nothing"))  # fmt: skip
    yield scene("reading", "labels", *maps(), *(selected("labelSelector", text) for text in LABELS))
    yield scene("reading", "bad-labels", *(selected("labelSelector", text) for text in BAD_LABELS))
    yield scene("reading", "fields", *maps(), *(selected("fieldSelector", text) for text in FIELDS))
    yield scene("reading", "bad-fields", *(selected("fieldSelector", text) for text in BAD_FIELDS))
    yield scene(
        "reading", "kinds-fields",
        post(core("pods"), pod()), post(core("secrets"), secret()), post(core("services"), service()),
        *(selected("fieldSelector", text, "pods") for text in (
            "spec.nodeName=", "status.phase=Pending", "status.phase!=Failed", "spec.restartPolicy=Always",
            "spec.serviceAccountName=default", "status.podIP=", "spec.hostNetwork=false", "spec.containers=1",
            "spec.schedulerName=default-scheduler", "status.nominatedNodeName=")),
        *(selected("fieldSelector", text, "secrets") for text in ("type=Opaque", "type!=Opaque", "data=1")),
        *(selected("fieldSelector", text, "services") for text in ("spec.type=ClusterIP", "spec.clusterIP=None", "spec.ports=1")),
        *(selected("fieldSelector", text, "events") for text in ("involvedObject.kind=Pod", "reason=x", "source=a", "nothing=1")),
    )  # fmt: skip
    wide = ("kind", "metadata", "items[].metadata.name", "message", "reason", "code")
    first = get(core("configmaps") + "?limit=2", keep={"token": "metadata.continue"}, only=wide)
    yield scene(
        "reading", "pages", *maps(), first,
        get(core("configmaps") + "?limit=2&continue=$token", only=wide),
        get(core("configmaps") + "?continue=$token", only=wide),
        get(core("configmaps") + "?limit=1&labelSelector=app", only=wide),
        get(core("configmaps") + "?limit=9", only=wide), get(core("configmaps") + "?limit=0", only=wide),
        get(core("configmaps") + "?limit=x"), get(core("configmaps") + "?limit=-1", only=wide),
        get(core("configmaps") + "?continue=rubbish"), get(core("configmaps") + "?limit=2&continue=e30"),
        get(core("configmaps") + "?limit=1", accept=TABLE, only=("kind", "metadata", "rows[].cells")),
        get(core("configmaps") + "?continue=$token&resourceVersion=5"),
    )  # fmt: skip
    yield scene(
        "reading", "versions", *maps(),
        get(core("configmaps") + "?resourceVersion=x"), get(core("configmaps", "one") + "?resourceVersion=x"),
        get(core("configmaps") + "?resourceVersion=0&resourceVersionMatch=NotOlderThan", only=wide),
        get(core("configmaps") + "?resourceVersionMatch=Exact"), get(core("configmaps") + "?resourceVersion=1&resourceVersionMatch=Wrong"),
        get(core("configmaps") + "?resourceVersion=0&resourceVersionMatch=Exact"),
        get(core("configmaps") + "?resourceVersion=1&limit=1&resourceVersionMatch=NotOlderThan", only=wide),
        get(core("configmaps") + "?sendInitialEvents=true"),
    )  # fmt: skip
    yield scene(
        "reading", "tables",
        post(core("pods"), pod()), post(core("services"), service()), post(core("secrets"), secret()),
        post(named("apps/v1", "deployments"), deployment()),
        *(get(core(plural), accept=TABLE, only=("kind", "columnDefinitions", "rows[].cells")) for plural in (
            "pods", "services", "secrets", "serviceaccounts", "events", "endpoints")),
        get("/api/v1/namespaces/$ns", accept=TABLE, only=("kind", "columnDefinitions", "rows[].cells")),
        *(get(named("apps/v1", plural), accept=TABLE, only=("kind", "columnDefinitions", "rows[].cells")) for plural in (
            "deployments", "replicasets", "statefulsets", "daemonsets")),
        get(named("batch/v1", "jobs"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("discovery.k8s.io/v1", "endpointslices"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("networking.k8s.io/v1", "ingresses"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("rbac.authorization.k8s.io/v1", "roles"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("rbac.authorization.k8s.io/v1", "rolebindings"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("coordination.k8s.io/v1", "leases"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("policy/v1", "poddisruptionbudgets"), accept=TABLE, only=("kind", "columnDefinitions")),
        get(named("autoscaling/v2", "horizontalpodautoscalers"), accept=TABLE, only=("kind", "columnDefinitions")),
    )  # fmt: skip
