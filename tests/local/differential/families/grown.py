"""Requests that hypothesis grows from the schemas: a sound object of a built-in kind with one field set to anything.

They are grown when goldens are recorded, with one seed, and kept beside the answers: a replay needs no hypothesis.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from families.samples import config_map, container, deployment, pod, role, role_binding, secret, service
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from scenes import Request, Scene, core, named, post, scene

from pytest_mesh.clusters.local.apiserver import builtins

Json = dict[str, Any]
SEED, COUNT, DEPTH = 20, 240, 6
ONLY = ("kind", "message", "reason", "code", "details")
RULE = {
    "host": "a.example",
    "http": {
        "paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "a", "port": {"number": 80}}}}]
    },
}
PROBED = container(
    ports=[{"containerPort": 80, "name": "http"}], env=[{"name": "A", "value": "b"}], livenessProbe={"httpGet": {"port": 80}},
    resources={"limits": {"cpu": "1"}}, volumeMounts=[{"name": "v", "mountPath": "/v"}],
)  # fmt: skip
KINDS: tuple[tuple[str, str, Json], ...] = (
    ("io.k8s.api.core.v1.ConfigMap", core("configmaps"), config_map()),
    ("io.k8s.api.core.v1.Secret", core("secrets"), secret()),
    ("io.k8s.api.core.v1.ServiceAccount", core("serviceaccounts"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "one"}}),
    ("io.k8s.api.core.v1.Service", core("services"), service()),
    ("io.k8s.api.core.v1.Pod", core("pods"), pod("one", [PROBED], volumes=[{"name": "v", "emptyDir": {}}], tolerations=[{"key": "a", "operator": "Exists"}])),
    ("io.k8s.api.core.v1.Endpoints", core("endpoints"), {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "one"}, "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
    ("io.k8s.api.apps.v1.Deployment", named("apps/v1", "deployments"), deployment()),
    ("io.k8s.api.networking.v1.Ingress", named("networking.k8s.io/v1", "ingresses"), {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "one"}, "spec": {"rules": [RULE]}}),
    ("io.k8s.api.coordination.v1.Lease", named("coordination.k8s.io/v1", "leases"), {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "one"}, "spec": {"holderIdentity": "a"}}),
    ("io.k8s.api.discovery.v1.EndpointSlice", named("discovery.k8s.io/v1", "endpointslices"), {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "one"}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80, "name": "a"}]}),
    ("io.k8s.api.rbac.v1.Role", named("rbac.authorization.k8s.io/v1", "roles"), role()),
    ("io.k8s.api.rbac.v1.RoleBinding", named("rbac.authorization.k8s.io/v1", "rolebindings"), role_binding()),
    ("io.k8s.api.policy.v1.PodDisruptionBudget", named("policy/v1", "poddisruptionbudgets"), {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "one"}, "spec": {"minAvailable": 1}}),
)  # fmt: skip
ANYTHING = st.one_of(
    st.sampled_from(["", "a", "A b", "a.b-c", "x" * 64, "x" * 254, "10.0.0.1", "80", "1Gi", "Always", "/a", "../a", "true", "2020-01-01T00:00:00Z"]),
    st.sampled_from([0, 1, -1, 80, 65536, 1 << 31, 1 << 63, 1.5]), st.booleans(), st.none(), st.sampled_from([[], {}, [1], ["a"], {"a": "b"}, {"a": 1}, [{}], {"": ""}]),
)  # fmt: skip
LEFT_OUT = (
    "managedFields",
    "creationTimestamp",
    "deletionTimestamp",
    "selfLink",
    "generateName",
    "namespace",
    "status",
)
"""Fields that no client sends to be judged, or whose answers are of one run."""


def places(schema: Any, obj: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Give the places of a schema that ``obj`` holds or could hold: one step beyond what is there."""
    if len(path) > DEPTH:
        return
    known = builtins.resolve(schema)
    if isinstance(obj, dict):
        for name, inner in (known.get("properties") or {}).items():
            if name not in LEFT_OUT and not (path == () and name in ("apiVersion", "kind")):
                yield (*path, name)
                if name in obj:
                    yield from places(inner, obj[name], (*path, name))
    elif isinstance(obj, list) and obj:
        yield from places(known.get("items") or {}, obj[0], (*path, 0))


def changed(obj: Json, path: tuple[str | int, ...], value: Any) -> Json:
    """Give a copy of ``obj`` with ``value`` at a place."""
    result = copy.deepcopy(obj)
    holder: Any = result
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return result


def grow() -> list[Request]:
    """Grow COUNT different requests."""
    found: dict[str, Request] = {}
    choices = [(url, obj, path) for name, url, obj in KINDS for path in places({"$ref": name}, obj)]

    @seed(SEED)
    @settings(
        max_examples=4 * COUNT,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    @given(place=st.sampled_from(choices), value=ANYTHING)
    def collect(place: tuple[str, Json, tuple[str | int, ...]], value: Any) -> None:
        url, obj, path = place
        request = post(f"{url}?dryRun=All&fieldValidation=Strict", changed(obj, path, value), only=ONLY)
        if len(found) < COUNT:
            found.setdefault(json.dumps(request.body, sort_keys=True), request)

    collect()
    return list(found.values())


def as_scene(bodies: list[list[Any]]) -> Scene:
    """Give the scene of grown requests, as they were kept: (path, body)."""
    return scene("grown", "objects", *(post(path, body, only=ONLY) for path, body in bodies))
