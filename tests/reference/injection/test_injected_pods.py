"""What an injected pod holds, against golden files and field by field (rows §2.2, §2.4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh_reference import documents
from mesh_reference.injection.annotations import AnnotationError
from mesh_reference.injection.injector import inject
from mesh_reference.injection.owner import Workload, owner_of
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]
HELLO = """
metadata: {name: hello, labels: {app: hello, version: v1}}
spec:
  containers:
  - name: hello
    image: example/hello
    ports: [{containerPort: 80, name: http}]
"""
PROBED = """
metadata:
  generateName: probed-5d8c7f6b9-
  labels: {app: probed, pod-template-hash: 5d8c7f6b9}
  annotations: {prometheus.io/port: "9102", prometheus.io/path: /figures, prometheus.io/scrape: "true"}
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: probed-5d8c7f6b9, uid: 1-2-3, controller: true}
spec:
  initContainers: [{name: migrate, image: example/migrate}]
  containers:
  - name: web
    image: example/web
    ports: [{containerPort: 8080, name: http}]
    readinessProbe: {httpGet: {path: /ready, port: http, scheme: HTTPS}, timeoutSeconds: 7}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 3}
    startupProbe: {grpc: {port: 9000, service: health}}
    lifecycle: {preStop: {httpGet: {path: /bye, port: 8080}}, postStart: {exec: {command: [hi]}}}
  - name: helper
    image: example/helper
    livenessProbe: {exec: {command: ["true"]}}
    readinessProbe: {httpGet: {port: undeclared}}
  imagePullSecrets: [{name: own}]
  volumes: [{name: data, emptyDir: {}}]
"""
STEERED = """
metadata:
  name: steered
  namespace: shop
  labels: {topology.istio.io/network: east}
  annotations:
    traffic.sidecar.istio.io/includeOutboundIPRanges: 10.0.0.0/8
    traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.1.0.0/16
    traffic.sidecar.istio.io/includeInboundPorts: "80,8080"
    traffic.sidecar.istio.io/excludeInboundPorts: "18080"
    traffic.sidecar.istio.io/includeOutboundPorts: "443"
    traffic.sidecar.istio.io/excludeOutboundPorts: "25"
    traffic.sidecar.istio.io/excludeInterfaces: eth1
    sidecar.istio.io/proxyCPU: 50m
    sidecar.istio.io/proxyMemoryLimit: 256Mi
    sidecar.istio.io/proxyImage: example/proxy:1
    sidecar.istio.io/logLevel: debug
    readiness.status.sidecar.istio.io/periodSeconds: "2"
    proxy.istio.io/config: |
      proxyMetadata: {SECRET_TTL: 30s}
      terminationDrainDuration: 9s
      statusPort: 15099
    sidecar.istio.io/userVolumeMount: '{"extra": {"mountPath": "/extra"}}'
    sidecar.istio.io/userVolume: '{"extra": {"emptyDir": {}}}'
spec: {containers: [{name: app, image: example/app}]}
"""
OVERRIDDEN = """
metadata: {name: overridden}
spec:
  containers:
  - name: istio-proxy
    image: auto
    resources: {limits: {memory: 2Gi}}
    securityContext: {runAsUser: 4000}
    env: [{name: TRUST_DOMAIN, value: other}, {name: MINE, value: "1"}]
    volumeMounts: [{name: mine, mountPath: /mine}]
    lifecycle: {preStop: {httpGet: {path: /mine, port: 1}}}
  - {name: app, image: example/app}
  volumes: [{name: mine, emptyDir: {}}]
"""


def pod_of(text: str) -> Json:
    pod: Json = documents.load_all(text)[0].value
    return pod


def injected(text: str, **settings: Any) -> Json:
    return inject(pod_of(text), "shop", InjectionSettings(**settings)).pod


def proxy_of(pod: Json) -> Json:
    found: list[Json] = [
        item
        for item in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
        if item["name"] == "istio-proxy"
    ]
    assert len(found) == 1
    return found[0]


def init_of(pod: Json) -> Json | None:
    return next((item for item in pod["spec"].get("initContainers", ()) if item["name"] == "istio-init"), None)


def environment(pod: Json) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in proxy_of(pod)["env"]}


@pytest.mark.parametrize(
    ("name", "text", "settings"),
    [
        ("hello", HELLO, {}),
        ("hello-regular", HELLO, {"native_sidecar": False}),
        ("probed", PROBED, {}),
        ("steered", STEERED, {}),
        ("overridden", OVERRIDDEN, {}),
    ],
)
def test_the_pod_is_the_golden_one(
    name: str, text: str, settings: Json, golden: Callable[[str, str], None]
) -> None:  # IC9 IC13
    golden(f"{name}.yaml", documents.dump(injected(text, **settings)))


def test_a_native_sidecar_is_an_init_container_that_goes_on_running_and_starts_before_the_users() -> (
    None
):  # IC5 IC10 IC16 IM11
    pod = injected(PROBED)
    assert [item["name"] for item in pod["spec"]["initContainers"]] == ["istio-init", "istio-proxy", "migrate"]
    assert proxy_of(pod)["restartPolicy"] == "Always"
    assert proxy_of(pod)["lifecycle"]["preStop"]["exec"]["command"][-2:] == ["POST", "drain"]
    assert json.loads(pod["metadata"]["annotations"]["sidecar.istio.io/status"])["containers"] is None


def test_a_regular_sidecar_comes_after_the_users_containers_and_capture_after_their_init_containers() -> (
    None
):  # IC5 IM11
    pod = injected(PROBED, native_sidecar=False)
    assert [item["name"] for item in pod["spec"]["initContainers"]] == ["migrate", "istio-init"]
    assert [item["name"] for item in pod["spec"]["containers"]] == ["web", "helper", "istio-proxy"]
    assert "restartPolicy" not in proxy_of(pod)
    assert "lifecycle" not in proxy_of(pod)


@pytest.mark.parametrize(("default", "word", "native"), [(True, "false", False), (False, "true", True)])
def test_the_pods_annotation_chooses_the_sort_of_sidecar(default: bool, word: str, native: bool) -> None:  # IC7
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"sidecar.istio.io/nativeSidecar": word}
    result = inject(pod, "shop", InjectionSettings(native_sidecar=default)).pod
    assert (proxy_of(result) in result["spec"]["initContainers"]) is native


def test_holding_the_application_puts_a_regular_proxy_first_and_lets_it_wait() -> None:  # IC11
    pod = injected(HELLO, native_sidecar=False, proxy_config={"holdApplicationUntilProxyStarts": True})
    assert [item["name"] for item in pod["spec"]["containers"]] == ["istio-proxy", "hello"]
    assert proxy_of(pod)["lifecycle"]["postStart"]["exec"]["command"][-1] == "wait"


def test_interception_none_leaves_the_init_container_out() -> None:  # IC3
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"sidecar.istio.io/interceptionMode": "NONE"}
    result = inject(pod, "shop", InjectionSettings()).pod
    assert init_of(result) is None
    assert environment(result)["ISTIO_META_INTERCEPTION_MODE"] == "NONE"


def test_capture_is_told_the_default_profiles_arguments() -> None:  # IC1
    init = init_of(injected(HELLO))
    assert init is not None
    assert init["args"] == [
        *("istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT"),
        *("-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020", "--log_output_level=default:info"),
    ]


def test_annotations_steer_capture() -> None:  # IC2
    init = init_of(injected(STEERED))
    assert init is not None
    flags = dict(zip(init["args"][1:-1:2], init["args"][2:-1:2], strict=True))
    assert flags == {
        "-p": "15001",
        "-z": "15006",
        "-u": "1337",
        "-m": "REDIRECT",
        "-i": "10.0.0.0/8",
        "-x": "10.1.0.0/16",
        "-b": "80,8080",
        "-d": "15090,15021,18080,15099",
        "-q": "443",
        "-o": "25",
        "-c": "eth1",
    }


def test_the_environment_names_come_in_istios_order() -> None:  # IC12
    names = [entry["name"] for entry in proxy_of(injected(HELLO, network="east"))["env"]]
    assert names == [
        *("PILOT_CERT_PROVIDER", "CA_ADDR", "POD_NAME", "POD_NAMESPACE", "INSTANCE_IP", "SERVICE_ACCOUNT", "HOST_IP"),
        *("ISTIO_CPU_LIMIT", "PROXY_CONFIG", "ISTIO_META_POD_PORTS", "ISTIO_META_APP_CONTAINERS", "GOMEMLIMIT"),
        *("GOMAXPROCS", "ISTIO_META_CLUSTER_ID", "ISTIO_META_NODE_NAME", "ISTIO_META_INTERCEPTION_MODE"),
        *("ISTIO_META_NETWORK", "ISTIO_META_WORKLOAD_NAME", "ISTIO_META_OWNER", "ISTIO_META_MESH_ID", "TRUST_DOMAIN"),
    ]


def test_the_token_has_the_cas_audience_and_lies_where_the_agent_looks() -> None:  # IC13
    pod = injected(HELLO)
    token = next(volume for volume in pod["spec"]["volumes"] if volume["name"] == "istio-token")
    assert token["projected"]["sources"] == [
        {"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}}
    ]
    assert {"name": "istio-token", "mountPath": "/var/run/secrets/tokens"} in proxy_of(pod)["volumeMounts"]


def test_probes_go_through_the_agent_and_their_originals_are_kept() -> None:  # IM7
    pod = injected(PROBED)
    web, helper = pod["spec"]["containers"]
    agent = {"port": 15020, "scheme": "HTTP"}
    assert web["readinessProbe"] == {"httpGet": {"path": "/app-health/web/readyz", **agent}, "timeoutSeconds": 7}
    assert web["livenessProbe"] == {"httpGet": {"path": "/app-health/web/livez", **agent}, "periodSeconds": 3}
    assert web["startupProbe"] == {"httpGet": {"path": "/app-health/web/startupz", **agent}}
    assert web["lifecycle"]["preStop"] == {"httpGet": {"path": "/app-lifecycle/web/prestopz", **agent}}
    assert web["lifecycle"]["postStart"] == {"exec": {"command": ["hi"]}}
    assert helper["livenessProbe"] == {"exec": {"command": ["true"]}}
    assert helper["readinessProbe"] == {"httpGet": {"port": "undeclared"}}
    assert json.loads(environment(pod)["ISTIO_KUBE_APP_PROBERS"]) == {
        "/app-health/web/readyz": {
            "httpGet": {"path": "/ready", "port": 8080, "scheme": "HTTPS"},
            "timeoutSeconds": 7,
        },
        "/app-health/web/livez": {"tcpSocket": {"port": 8080}, "timeoutSeconds": 1},
        "/app-health/web/startupz": {"grpc": {"port": 9000, "service": "health"}, "timeoutSeconds": 1},
        "/app-lifecycle/web/prestopz": {"httpGet": {"path": "/bye", "port": 8080, "scheme": "HTTP"}},
    }


def test_probes_stay_when_the_pod_says_so() -> None:  # IM7
    pod = pod_of(PROBED)
    pod["metadata"]["annotations"]["sidecar.istio.io/rewriteAppHTTPProbers"] = "false"
    result = inject(pod, "shop", InjectionSettings()).pod
    assert result["spec"]["containers"] == pod["spec"]["containers"]
    assert "ISTIO_KUBE_APP_PROBERS" not in environment(result)


def test_metrics_are_scraped_from_the_agent_which_knows_the_applications() -> None:  # IM9
    pod = injected(PROBED)
    annotations = pod["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "15020"
    assert annotations["prometheus.io/path"] == "/stats/prometheus"
    assert json.loads(environment(pod)["ISTIO_PROMETHEUS_ANNOTATIONS"]) == {
        "scrape": "true",
        "path": "/figures",
        "port": "9102",
    }


@pytest.mark.parametrize(
    "annotations", [{"prometheus.istio.io/merge-metrics": "false"}, {"prometheus.io/scrape": "false"}]
)
def test_metrics_stay_where_the_pod_wants_no_merging(annotations: dict[str, str]) -> None:  # IM9
    pod = pod_of(PROBED)
    pod["metadata"]["annotations"] |= annotations
    result = inject(pod, "shop", InjectionSettings()).pod
    assert result["metadata"]["annotations"]["prometheus.io/port"] == "9102"
    assert "ISTIO_PROMETHEUS_ANNOTATIONS" not in environment(result)


def test_a_metrics_port_that_the_proxy_itself_uses_is_refused() -> None:  # IC17 IM9
    pod = pod_of(PROBED)
    pod["metadata"]["annotations"]["prometheus.io/port"] = "15090"
    with pytest.raises(AnnotationError, match="port 15090 is reserved for Istio"):
        inject(pod, "shop", InjectionSettings())


def test_a_users_own_istio_proxy_wins_field_by_field() -> None:  # IM6
    pod = injected(OVERRIDDEN)
    proxy = proxy_of(pod)
    assert proxy["image"] == "mesh-reference/proxyv2"
    assert proxy["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    assert proxy["securityContext"]["runAsUser"] == 4000
    assert proxy["securityContext"]["runAsGroup"] == 1337
    assert environment(pod)["TRUST_DOMAIN"] == "other"
    assert environment(pod)["MINE"] == "1"
    assert {"name": "mine", "mountPath": "/mine"} in proxy["volumeMounts"]
    assert proxy["lifecycle"] == {"preStop": {"httpGet": {"path": "/mine", "port": 1}}}
    assert [item["name"] for item in pod["spec"]["containers"]] == ["app"]


def test_capture_lets_the_overridden_users_traffic_pass() -> None:  # IM10
    init = init_of(injected(OVERRIDDEN))
    assert init is not None
    assert init["args"][init["args"].index("-u") + 1] == "4000"


@pytest.mark.parametrize(
    ("labels", "name", "revision"),
    [
        ({}, "hello", "latest"),
        ({"app": "a", "version": "v3"}, "a", "v3"),
        ({"app": "a", "app.kubernetes.io/name": "b", "app.kubernetes.io/version": "1", "version": "v3"}, "b", "1"),
        ({"service.istio.io/canonical-name": "c", "service.istio.io/canonical-revision": "r"}, "c", "r"),
        ({"app": "x" * 70}, "x" * 63, "latest"),
    ],
)
def test_the_canonical_name_follows_the_pods_labels(labels: dict[str, str], name: str, revision: str) -> None:  # IC14
    pod = pod_of(HELLO)
    pod["metadata"]["labels"] = labels
    got = inject(pod, "shop", InjectionSettings()).pod["metadata"]["labels"]
    assert (got["service.istio.io/canonical-name"], got["service.istio.io/canonical-revision"]) == (name, revision)
    assert got["security.istio.io/tlsMode"] == "istio"


def test_the_webhooks_path_tells_cluster_and_network_and_more() -> None:  # IM4
    extra = {"ISTIO_META_CLUSTER_ID": "c1", "ISTIO_META_NETWORK": "n1", "MORE": "1"}
    pod = inject(pod_of(HELLO), "shop", InjectionSettings(), environment=extra).pod
    assert extra.items() <= environment(pod).items()
    assert pod["metadata"]["labels"]["topology.istio.io/network"] == "n1"


@pytest.mark.parametrize(
    ("metadata", "kind", "name"),
    [
        ({"name": "bare"}, "Pod", "bare"),
        (
            {
                "generateName": "web-abc-",
                "labels": {"pod-template-hash": "abc"},
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-abc", "controller": True}
                ],
            },
            "Deployment",
            "web",
        ),
        (
            {
                "generateName": "solo-",
                "ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "solo", "controller": True}
                ],
            },
            "ReplicaSet",
            "solo",
        ),
        (
            {
                "generateName": "tick-28371820-",
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": "tick-28371820", "controller": True}
                ],
            },
            "CronJob",
            "tick",
        ),
    ],
)
def test_the_owner_is_the_workload_that_a_person_wrote(metadata: Json, kind: str, name: str) -> None:  # IC12
    found = owner_of({"metadata": metadata}, "shop")
    assert (found.kind, found.name, found.namespace) == (kind, name, "shop")


def test_the_owner_is_referred_to_as_istio_does() -> None:  # IC12
    workload = Workload(api_version="apps/v1", kind="Deployment", name="web", namespace="shop")
    assert workload.reference == "kubernetes://apis/apps/v1/namespaces/shop/deployments/web"


def test_a_dns_policy_that_hides_the_control_plane_is_warned_of() -> None:
    pod = pod_of(HELLO)
    pod["spec"]["dnsPolicy"] = "Default"
    assert '"Default"' in inject(pod, "shop", InjectionSettings()).warnings[0]
