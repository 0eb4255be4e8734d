"""Pods for the laws of sidecar injection: what a user may write, and what an injector may do wrong with it.

    from pytest_mesh.strategies import pods

    @given(pod=pods())
    def test_nothing_is_lost(pod): ...

Public: names and parameters follow SemVer. A pod is plain JSON, no two places in it
share an object, and names are unique, as an API server would have it. It is not
complete (no ``apiVersion``), and images do not exist: such pods are not for running.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from hypothesis import strategies as st

from pytest_mesh.contracts import Json

PROXY, INIT = "istio-proxy", "istio-init"
"""Names of the containers that an injector brings, and that a user may have written to change them."""
NAMES = ("a", "b", "db", "log-shipper", "web", "x~y")
"""Names of the user's containers; ``~`` must be escaped in a patch."""
_TEXT = partial(st.text, alphabet="aZ0 -_.,:=/~$\"'\\\n\t\u00e9\u2603\U0001f680")
"""Letters that quoting, escaping and encoding may lose. All of Unicode would cost the first draw seconds, and too slow a
draw fails the user's test."""
STEERING: Mapping[str, tuple[str, ...]] = {
    "prometheus.io/scrape": ("true", "false", ""),
    "prometheus.io/port": ("9102", ""),
    "prometheus.io/path": ("/figures",),
    "prometheus_io/path": ("/odd",),
    "prometheus.istio.io/merge-metrics": ("true", "false"),
    "sidecar.istio.io/nativeSidecar": ("true", "false"),
    "sidecar.istio.io/interceptionMode": ("REDIRECT", "TPROXY", "NONE"),
    "sidecar.istio.io/rewriteAppHTTPProbers": ("true", "false"),
    "sidecar.istio.io/proxyCPU": ("100m",),
    "sidecar.istio.io/proxyMemoryLimit": ("1Gi",),
    "status.sidecar.istio.io/port": ("15020", "15099", "0"),
    "traffic.sidecar.istio.io/excludeInboundPorts": ("18080",),
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": ("10.1.0.0/16",),
    "proxy.istio.io/config": ("holdApplicationUntilProxyStarts: true", "proxyMetadata: {A: b}"),
    "inject.istio.io/templates": ("sidecar", "gateway"),
    "kubectl.kubernetes.io/default-container": ("web",),
}
"""Annotations that an injector reads, each with good values."""

_PORTS = st.integers(1, 65535)
_SECONDS = st.fixed_dictionaries({}, optional={"timeoutSeconds": st.integers(1, 9), "periodSeconds": st.integers(1, 9)})
_HTTP = st.fixed_dictionaries(
    {"port": st.one_of(_PORTS, st.sampled_from(["http", "nowhere"]))},
    optional={
        "path": st.just("/ready"),
        "scheme": st.sampled_from(["HTTP", "HTTPS"]),
        "httpHeaders": st.just([{"name": "h", "value": "v"}]),
    },
)
_HOOKS = st.one_of(
    st.fixed_dictionaries({"httpGet": _HTTP}),
    st.fixed_dictionaries({"tcpSocket": st.fixed_dictionaries({"port": _PORTS})}),
    st.just({"exec": {"command": ["true"]}}),
)
_GRPC = st.fixed_dictionaries(
    {"grpc": st.fixed_dictionaries({"port": _PORTS}, optional={"service": st.just("health")})}
)
_PROBES = st.builds(lambda action, seconds: {**action, **seconds}, st.one_of(_HOOKS, _GRPC), _SECONDS)
_VARIABLES = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("ABC"), "value": _TEXT(max_size=3)}),
    max_size=2,
    unique_by=lambda entry: entry["name"],
)
_DECLARED = st.lists(
    st.fixed_dictionaries({"containerPort": _PORTS}, optional={"name": st.just("http")}),
    max_size=2,
    unique_by=lambda entry: entry["containerPort"],
)
_FIELDS = {
    "env": _VARIABLES,
    "ports": _DECLARED,
    "readinessProbe": _PROBES,
    "livenessProbe": _PROBES,
    "startupProbe": _PROBES,
    "lifecycle": st.fixed_dictionaries({}, optional={"preStop": _HOOKS, "postStart": _HOOKS}),
    "securityContext": st.fixed_dictionaries(
        {}, optional={"runAsUser": st.integers(0, 5000), "runAsGroup": st.integers(0, 5000)}
    ),
    "volumeMounts": st.just([{"name": "data", "mountPath": "/data"}]),
}
_LABELS = st.dictionaries(
    st.sampled_from(["app", "version", "app.kubernetes.io/name", "topology.istio.io/network", "a~b/c"]),
    st.sampled_from(["x", "east", ""]),
)
_NOTE = st.fixed_dictionaries({}, optional={"example.com/note": _TEXT(max_size=5)})
_ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "example.com/note": _TEXT(max_size=5),
        **{name: st.sampled_from(values) for name, values in STEERING.items()},
    },
)


@st.composite
def pods(draw: st.DrawFn, *, own_proxies: bool = True, steered: bool = True) -> Json:
    """A Pod's ``metadata`` and ``spec``, with one to three containers and up to three init containers.

    Args:
        draw: hypothesis gives it.
        own_proxies: whether there may be containers named istio-proxy and istio-init, the user's overrides.
        steered: whether there may be annotations of `STEERING`.

    """
    regular = draw(_containers(minimum=1))
    taken = {item["name"] for item in regular}
    first = [item for item in draw(_containers()) if item["name"] not in taken]
    own = draw(_overrides()) if own_proxies else []
    beside = [item for item in own if item["name"] == PROXY and draw(st.booleans())]
    spec: Json = {"containers": draw(st.permutations([*regular, *beside]))}
    if first or len(own) > len(beside):
        spec["initContainers"] = [*first, *(item for item in own if item not in beside)]
    mounted = any("volumeMounts" in item for item in (*spec["containers"], *spec.get("initContainers", ())))
    volumes = {"data"} if mounted else set()
    if draw(st.booleans()):
        volumes |= draw(st.sets(st.sampled_from(["data", "istio-data"])))
    if volumes:
        spec["volumes"] = [{"name": name, "emptyDir": {}} for name in sorted(volumes)]
    if draw(st.booleans()):
        spec["imagePullSecrets"] = [{"name": name} for name in sorted(draw(st.sets(st.sampled_from(["own", "mesh"]))))]
    if draw(st.booleans()):
        spec["terminationGracePeriodSeconds"] = draw(st.integers(0, 60))
    metadata = draw(_metadata(_ANNOTATIONS if steered else _NOTE))
    without = not metadata and draw(st.booleans())
    pod: Json = {"spec": spec} if without else {"metadata": metadata, "spec": spec}
    # Through JSON, so that no two places share one object.
    result: Json = json.loads(json.dumps(pod))
    return result


def _metadata(annotations: st.SearchStrategy[dict[str, str]]) -> st.SearchStrategy[Json]:
    optional: dict[str, st.SearchStrategy[Any]] = {
        "name": st.just("pod"),
        "labels": _LABELS,
        "annotations": annotations,
    }
    return st.fixed_dictionaries({}, optional=optional)


def _containers(*, minimum: int = 0) -> st.SearchStrategy[list[Json]]:
    one = st.fixed_dictionaries({"name": st.sampled_from(NAMES), "image": st.just("example/x")}, optional=_FIELDS)
    return st.lists(one, min_size=minimum, max_size=3, unique_by=lambda item: item["name"])


def _overrides() -> st.SearchStrategy[list[Json]]:
    one = st.fixed_dictionaries(
        {"name": st.sampled_from([PROXY, INIT]), "image": st.sampled_from(["auto", "mine"])},
        optional={**_FIELDS, "args": st.lists(_TEXT(max_size=3), max_size=2)},
    )
    return st.lists(one, max_size=2, unique_by=lambda item: item["name"])
