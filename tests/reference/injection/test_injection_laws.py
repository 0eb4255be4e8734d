"""Laws of injection over generated pods: it is idempotent, loses nothing, keeps order, and its patch tells it all."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_reference.injection.injector import inject, patch_of
from mesh_reference.injection.patch import difference
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]

NAMES = st.sampled_from(["a", "b", "web", "db", "log-shipper", "x~y"])
PORTS = st.integers(1, 65535)
NETWORK = st.fixed_dictionaries(
    {"port": st.one_of(PORTS, st.sampled_from(["http", "nowhere"]))},
    optional={
        "path": st.just("/ready"),
        "scheme": st.just("HTTPS"),
        "httpHeaders": st.just([{"name": "h", "value": "v"}]),
    },
)
ACTIONS = st.one_of(
    st.fixed_dictionaries({"httpGet": NETWORK}),
    st.fixed_dictionaries({"tcpSocket": st.fixed_dictionaries({"port": PORTS})}),
    st.just({"exec": {"command": ["true"]}}),
)
PROBES = st.builds(
    lambda action, rest: {**action, **rest},
    st.one_of(ACTIONS, st.just({"grpc": {"port": 9000}})),
    st.fixed_dictionaries({}, optional={"timeoutSeconds": st.integers(1, 9), "periodSeconds": st.integers(1, 9)}),
)
RUN_AS = st.fixed_dictionaries({}, optional={"runAsUser": st.integers(0, 5000), "runAsGroup": st.integers(0, 5000)})
FIELDS = {
    "env": st.lists(
        st.fixed_dictionaries({"name": st.sampled_from("ABC"), "value": st.text(max_size=3)}),
        max_size=2,
        unique_by=lambda one: one["name"],
    ),
    "ports": st.lists(
        st.fixed_dictionaries({"containerPort": PORTS}, optional={"name": st.just("http")}),
        max_size=2,
        unique_by=lambda one: one["containerPort"],
    ),
    "readinessProbe": PROBES,
    "livenessProbe": PROBES,
    "startupProbe": PROBES,
    "lifecycle": st.fixed_dictionaries({}, optional={"preStop": ACTIONS, "postStart": ACTIONS}),
    "securityContext": RUN_AS,
    "volumeMounts": st.just([{"name": "data", "mountPath": "/data"}]),
}


def containers(names: st.SearchStrategy[str], *, minimum: int = 0) -> st.SearchStrategy[list[Json]]:
    one = st.fixed_dictionaries({"name": names, "image": st.sampled_from(["example/x", "auto"])}, optional=FIELDS)
    return st.lists(one, min_size=minimum, max_size=3, unique_by=lambda item: item["name"])


OVERRIDES = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["istio-proxy", "istio-init"]), "image": st.sampled_from(["auto", "mine"])},
        optional={**FIELDS, "args": st.lists(st.text(max_size=3), max_size=2)},
    ),
    max_size=2,
    unique_by=lambda item: item["name"],
)
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "example.com/note": st.text(max_size=5),
        "prometheus.io/scrape": st.sampled_from(["true", "false", ""]),
        "prometheus.io/port": st.sampled_from(["9102", ""]),
        "prometheus_io/path": st.just("/odd"),
        "prometheus.istio.io/merge-metrics": st.sampled_from(["true", "false"]),
        "sidecar.istio.io/nativeSidecar": st.sampled_from(["true", "false"]),
        "sidecar.istio.io/interceptionMode": st.sampled_from(["REDIRECT", "NONE"]),
        "sidecar.istio.io/rewriteAppHTTPProbers": st.sampled_from(["true", "false"]),
        "status.sidecar.istio.io/port": st.sampled_from(["15020", "15099", "0"]),
        "traffic.sidecar.istio.io/excludeInboundPorts": st.just("18080"),
        "proxy.istio.io/config": st.sampled_from(["holdApplicationUntilProxyStarts: true", "proxyMetadata: {A: b}"]),
        "kubectl.kubernetes.io/default-container": st.just("web"),
    },
)
LABELS = st.dictionaries(
    st.sampled_from(["app", "version", "app.kubernetes.io/name", "topology.istio.io/network", "a~b/c"]),
    st.sampled_from(["x", "east", ""]),
)


@st.composite
def pods(draw: st.DrawFn) -> Json:
    names = draw(containers(NAMES, minimum=1))
    taken = {item["name"] for item in names}
    first = [item for item in draw(containers(NAMES)) if item["name"] not in taken]
    own = draw(OVERRIDES)
    regular = [item for item in own if draw(st.booleans()) and item["name"] == "istio-proxy"]
    spec: Json = {"containers": draw(st.permutations([*names, *regular]))}
    if first or len(own) > len(regular):
        spec["initContainers"] = [*first, *(item for item in own if item not in regular)]
    if draw(st.booleans()):
        spec["volumes"] = [
            {"name": name, "emptyDir": {}} for name in draw(st.sets(st.sampled_from(["data", "istio-data"])))
        ]
    if draw(st.booleans()):
        spec["imagePullSecrets"] = [{"name": name} for name in draw(st.sets(st.sampled_from(["own", "mesh"])))]
    spec |= draw(st.fixed_dictionaries({}, optional={"terminationGracePeriodSeconds": st.integers(0, 60)}))
    metadata = draw(
        st.fixed_dictionaries({}, optional={"name": st.just("pod"), "labels": LABELS, "annotations": ANNOTATIONS})
    )
    pod: Json = {"spec": spec}
    # Through JSON, so that no two places share one object.
    result: Json = json.loads(json.dumps({"metadata": metadata, **pod} if metadata or draw(st.booleans()) else pod))
    return result


SETTINGS = st.builds(
    InjectionSettings,
    native_sidecar=st.booleans(),
    rewrite_app_probes=st.booleans(),
    prometheus_merge=st.booleans(),
    network=st.sampled_from(["", "east"]),
    image_pull_secrets=st.sampled_from([(), ("mesh",)]),
)
LAW = settings(max_examples=40, deadline=None)
OURS = {"istio-init", "istio-proxy"}


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_injecting_an_injected_pod_changes_nothing(pod: Json, chosen: InjectionSettings) -> None:
    once = inject(pod, "shop", chosen).pod
    assert inject(once, "shop", chosen).pod == once


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_the_patch_applied_to_the_pod_gives_the_injected_pod_and_the_pod_given_stays(
    pod: Json, chosen: InjectionSettings
) -> None:
    before = copy.deepcopy(pod)
    injected = inject(pod, "shop", chosen)
    assert pod == before
    operations = json.loads(json.dumps(patch_of(pod, injected)))
    assert jsonpatch.apply_patch(pod, operations) == injected.pod


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_nothing_of_the_users_is_lost_and_order_is_kept(pod: Json, chosen: InjectionSettings) -> None:
    result = inject(pod, "shop", chosen).pod
    rewritten = {"readinessProbe", "livenessProbe", "startupProbe", "lifecycle"}
    for field in ("containers", "initContainers"):
        wanted = [item for item in pod["spec"].get(field, ()) if item["name"] not in OURS]
        have = [item for item in result["spec"].get(field, ()) if item["name"] not in OURS]
        assert [item["name"] for item in have] == [item["name"] for item in wanted]
        for mine, theirs in zip(wanted, have, strict=True):
            assert mine.keys() == theirs.keys()
            assert {k: v for k, v in mine.items() if k not in rewritten} == {
                k: v for k, v in theirs.items() if k not in rewritten
            }
    for field in ("volumes", "imagePullSecrets"):
        wanted = pod["spec"].get(field, [])
        assert result["spec"].get(field, [])[: len(wanted)] == wanted
    touched = {"containers", "initContainers", "volumes", "imagePullSecrets"}
    assert {k: v for k, v in pod["spec"].items() if k not in touched} == {
        k: v for k, v in result["spec"].items() if k not in touched
    }
    metadata = pod.get("metadata") or {}
    labels, annotations = result["metadata"]["labels"], result["metadata"]["annotations"]
    assert (metadata.get("labels") or {}).items() <= labels.items()
    kept = {k: v for k, v in (metadata.get("annotations") or {}).items() if not k.startswith("prometheus")}
    assert kept.items() <= annotations.items()


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_a_users_own_sidecar_keeps_every_field_he_wrote(pod: Json, chosen: InjectionSettings) -> None:
    result = inject(pod, "shop", chosen).pod["spec"]
    have = {item["name"]: item for item in (*result.get("initContainers", ()), *result["containers"])}
    for own in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
        if own["name"] not in OURS:
            continue
        got = have[own["name"]]
        if own["image"] != "auto":
            assert got["image"] == own["image"]
        for name in ("args", "securityContext"):
            if name in own and not (name == "args" and own["name"] == "istio-init"):
                assert got[name] == own[name] if name == "args" else own[name].items() <= got[name].items()
        for field in ("env", "ports", "volumeMounts"):
            assert all(entry in got[field] for entry in own.get(field, ()))


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_an_injected_pod_has_one_proxy_and_unique_names_throughout(pod: Json, chosen: InjectionSettings) -> None:
    spec = inject(pod, "shop", chosen).pod["spec"]
    names = [item["name"] for item in (*spec.get("initContainers", ()), *spec["containers"])]
    assert names.count("istio-proxy") == 1
    assert len(set(names)) == len(names)
    volumes = [item["name"] for item in spec["volumes"]]
    assert len(set(volumes)) == len(volumes)
    proxy = next(
        item for item in (*spec.get("initContainers", ()), *spec["containers"]) if item["name"] == "istio-proxy"
    )
    assert {mount["name"] for mount in proxy["volumeMounts"]} - {"data"} <= set(volumes)
    variables = [entry["name"] for entry in proxy["env"]]
    assert len(set(variables)) == len(variables)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.text("ab/~", max_size=2)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3),
        st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["a", "b", "c", "d"])}, optional={"x": inner}),
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(
    old=st.dictionaries(st.text("ab/~", max_size=2), JSON, max_size=4),
    new=st.dictionaries(st.text("ab/~", max_size=2), JSON, max_size=4),
)
def test_the_difference_of_any_two_objects_leads_from_one_to_the_other(old: Json, new: Json) -> None:
    patched = jsonpatch.apply_patch(old, json.loads(json.dumps(difference(old, new))))
    assert json.dumps(patched, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert difference(new, new) == []
