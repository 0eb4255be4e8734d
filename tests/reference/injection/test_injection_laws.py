"""Laws of injection over generated pods: it is idempotent, loses nothing, keeps order, and its patch tells it all."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import jsonpatch
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_reference.injection.injector import inject, patch_of
from mesh_reference.injection.patch import difference
from mesh_reference.injection.settings import InjectionSettings
from pytest_mesh.clusters.local.apiserver import defaults
from pytest_mesh.strategies import pods

Json = dict[str, Any]

SETTINGS = st.builds(
    InjectionSettings,
    native_sidecar=st.booleans(),
    rewrite_app_probes=st.booleans(),
    prometheus_merge=st.booleans(),
    network=st.sampled_from(["", "east"]),
    image_pull_secrets=st.sampled_from([(), ("mesh",)]),
)
LAW = settings(max_examples=int(os.environ.get("MESH_LAW_EXAMPLES", "14")), deadline=None)
OURS = {"istio-init", "istio-proxy"}


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_injecting_an_injected_pod_changes_nothing(pod: Json, chosen: InjectionSettings) -> None:  # IM5 IR1 IR2
    once = inject(pod, "shop", chosen).pod
    assert inject(once, "shop", chosen).pod == once


def stored(pod: Json) -> Json:
    """The pod as an API server keeps it: everything left open is filled in."""
    result = copy.deepcopy(pod)
    defaults.pod_spec(result["spec"])
    for container in (*result["spec"]["containers"], *result["spec"].get("initContainers", ())):
        for port in container.get("ports", ()):
            port.setdefault("protocol", "TCP")
    return result


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_a_second_injection_takes_nothing_away_that_the_api_server_filled_in(  # IR3
    pod: Json, chosen: InjectionSettings
) -> None:
    from_file = stored(inject(pod, "shop", chosen).pod)
    assert patch_of(from_file, inject(from_file, "shop", chosen)) == []
    from_api = stored(inject(stored(pod), "shop", chosen).pod)
    assert patch_of(from_api, inject(from_api, "shop", chosen)) == []


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_a_patch_removes_nothing_but_what_takes_another_form(pod: Json, chosen: InjectionSettings) -> None:  # IM8
    before = stored(pod)
    removed = [item["path"] for item in patch_of(before, inject(before, "shop", chosen)) if item["op"] == "remove"]
    containers = before["spec"]["containers"], before["spec"].get("initContainers", [])
    for path in removed:
        own = next(
            (
                group
                for group, name in zip(containers, ("containers", "initContainers"), strict=True)
                if f"/{name}/" in path
            ),
            None,
        )
        if path.endswith(("/tcpSocket", "/grpc")) or path.startswith("/metadata/annotations/prometheus"):
            continue
        # Else it is the user's own istio-proxy or istio-init, on its way to its place.
        assert own is not None, path
        assert own[int(path.split("/")[3])]["name"] in OURS, path


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_the_patch_applied_to_the_pod_gives_the_injected_pod_and_the_pod_given_stays(  # IM1
    pod: Json, chosen: InjectionSettings
) -> None:
    before = copy.deepcopy(pod)
    injected = inject(pod, "shop", chosen)
    assert pod == before
    operations = json.loads(json.dumps(patch_of(pod, injected)))
    assert jsonpatch.apply_patch(pod, operations) == injected.pod


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_nothing_of_the_users_is_lost_and_order_is_kept(pod: Json, chosen: InjectionSettings) -> None:  # IM8 IM11
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
    touched = {"containers", "initContainers", "volumes", "imagePullSecrets", "securityContext"}
    assert result["spec"].get("securityContext", {}).keys() <= {"sysctls"}
    assert {k: v for k, v in pod["spec"].items() if k not in touched} == {
        k: v for k, v in result["spec"].items() if k not in touched
    }
    metadata = pod.get("metadata") or {}
    labels, annotations = result["metadata"]["labels"], result["metadata"]["annotations"]
    assert (metadata.get("labels") or {}).items() <= labels.items()
    kept = {k: v for k, v in (metadata.get("annotations") or {}).items() if not k.startswith("prometheus")}
    assert kept.items() <= annotations.items()


def is_transparent(pod: Json) -> bool:
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    gateway = annotations.get("inject.istio.io/templates") == "gateway"
    return annotations.get("sidecar.istio.io/interceptionMode") == "TPROXY" and not gateway


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_a_users_own_sidecar_keeps_every_field_he_wrote(pod: Json, chosen: InjectionSettings) -> None:  # IM6 IR2
    result = inject(pod, "shop", chosen).pod["spec"]
    have = {item["name"]: item for item in (*result.get("initContainers", ()), *result["containers"])}
    for own in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
        if own["name"] not in OURS:
            continue
        got = have[own["name"]]
        if own["image"] != "auto":
            assert got["image"] == own["image"]
        if "args" in own and own["name"] != "istio-init":
            assert got["args"] == own["args"]
        kept = dict(own.get("securityContext") or {})
        if own["name"] == "istio-proxy" and is_transparent(pod):
            kept.pop("runAsUser", None)  # it is root: IC18
        assert kept.items() <= got.get("securityContext", {}).items()
        for field in ("env", "ports", "volumeMounts"):
            assert all(entry in got[field] for entry in own.get(field, ()))


@LAW
@given(pod=pods(), chosen=SETTINGS)
def test_an_injected_pod_has_one_proxy_and_unique_names_throughout(pod: Json, chosen: InjectionSettings) -> None:  # IM8
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


@settings(max_examples=40, deadline=None)
@given(
    old=st.dictionaries(st.text("ab/~", max_size=2), JSON, max_size=4),
    new=st.dictionaries(st.text("ab/~", max_size=2), JSON, max_size=4),
)
def test_the_difference_of_any_two_objects_leads_from_one_to_the_other(old: Json, new: Json) -> None:  # IM1
    patched = jsonpatch.apply_patch(old, json.loads(json.dumps(difference(old, new))))
    assert json.dumps(patched, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert difference(new, new) == []
