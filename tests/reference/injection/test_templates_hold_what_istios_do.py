"""Templates: which one a pod gets, and what each holds field by field (rows §2.2, §2.4.2)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from mesh_reference import documents
from mesh_reference.injection.annotations import AnnotationError
from mesh_reference.injection.injector import inject
from mesh_reference.injection.settings import InjectionSettings

Json = dict[str, Any]
HELLO = "{metadata: {name: hello}, spec: {containers: [{name: hello, image: example/hello}]}}"


def pod_of(text: str) -> Json:
    pod: Json = documents.load_all(text)[0].value
    return pod


def annotated(**annotations: str) -> Json:
    """The injected pod with these annotations of sidecar.istio.io and its subdomains."""
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = annotations
    return inject(pod, "shop", InjectionSettings()).pod


def injected(text: str) -> Json:
    return inject(pod_of(text), "shop", InjectionSettings()).pod


def container(pod: Json, name: str) -> Json:
    found: Json = next(
        item for item in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]) if item["name"] == name
    )
    return found


def proxy_of(pod: Json) -> Json:
    return container(pod, "istio-proxy")


def test_capture_is_set_up_by_root_with_two_capabilities_and_no_others() -> None:  # IC4
    assert container(injected(HELLO), "istio-init")["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
        "readOnlyRootFilesystem": False,
        "runAsGroup": 0,
        "runAsNonRoot": False,
        "runAsUser": 0,
    }


def test_the_proxy_runs_with_a_user_of_its_own_and_no_rights() -> None:  # IC9
    proxy = proxy_of(injected(HELLO))
    assert proxy["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 1337,
        "runAsGroup": 1337,
    }
    assert proxy["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "2", "memory": "1Gi"},
    }
    assert proxy["ports"] == [{"containerPort": 15090, "protocol": "TCP", "name": "http-envoy-prom"}]
    assert proxy["args"] == [
        *("proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning"),
        *("--proxyComponentLogLevel=misc:error", "--log_output_level=default:info"),
    ]


def test_the_proxy_is_probed_at_its_own_port_as_the_annotations_say() -> None:  # IC8
    proxy = proxy_of(injected(HELLO))
    ready = {"path": "/healthz/ready", "port": 15021}
    assert proxy["startupProbe"] == {
        "httpGet": ready,
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
        "timeoutSeconds": 3,
        "failureThreshold": 600,
    }
    assert proxy["readinessProbe"] == {
        "httpGet": ready,
        "initialDelaySeconds": 0,
        "periodSeconds": 15,
        "timeoutSeconds": 3,
        "failureThreshold": 4,
    }
    word = "readiness.status.sidecar.istio.io/"
    steered = annotated(
        **{f"{word}initialDelaySeconds": "7", f"{word}periodSeconds": "8", f"{word}failureThreshold": "9"}
    )
    probe = proxy_of(steered)["readinessProbe"]
    assert (probe["initialDelaySeconds"], probe["periodSeconds"], probe["failureThreshold"]) == (7, 8, 9)


def test_status_port_0_leaves_the_probes_out() -> None:  # IC8
    proxy = proxy_of(annotated(**{"status.sidecar.istio.io/port": "0"}))
    assert not {"readinessProbe", "startupProbe"} & proxy.keys()


def test_a_transparent_proxy_is_root_with_one_capability_even_where_the_user_is_overridden() -> None:  # IC18
    mode = {"sidecar.istio.io/interceptionMode": "TPROXY"}
    own = pod_of(HELLO)
    own["metadata"]["annotations"] = mode
    own["spec"]["containers"].append({"name": "istio-proxy", "image": "auto", "securityContext": {"runAsUser": 4000}})
    for pod in (annotated(**mode), inject(own, "shop", InjectionSettings()).pod):
        context = proxy_of(pod)["securityContext"]
        assert context["capabilities"] == {"add": ["NET_ADMIN"], "drop": ["ALL"]}
        assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (0, 1337, False)
        arguments = container(pod, "istio-init")["args"]
        assert arguments[arguments.index("-m") + 1] == "TPROXY"
        assert arguments[arguments.index("-u") + 1] == "1337"


def test_without_a_status_port_probes_and_metrics_stay_the_applications_own() -> None:  # IM7 IM9
    probe, scraped = {"httpGet": {"path": "/", "port": 80}}, {"prometheus.io/port": "9102"}
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"status.sidecar.istio.io/port": "0", **scraped}
    pod["spec"]["containers"][0]["livenessProbe"] = probe
    result = inject(pod, "shop", InjectionSettings()).pod
    assert container(result, "hello")["livenessProbe"] == probe
    assert scraped.items() <= result["metadata"]["annotations"].items()
    assert "prometheus.io/scrape" not in result["metadata"]["annotations"]


def test_metrics_that_istio_sent_to_its_default_port_are_known_as_an_injectors() -> None:  # IM5
    pod = annotated(**{"status.sidecar.istio.io/port": "15099", "prometheus.io/port": "9102"})
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "15099"
    by_istio = json.loads(json.dumps(pod))
    by_istio["metadata"]["annotations"]["prometheus.io/port"] = "15020"
    assert inject(by_istio, "shop", InjectionSettings()).pod == pod


def test_the_volumes_are_istios() -> None:  # IC13
    volumes = {volume.pop("name"): volume for volume in injected(HELLO)["spec"]["volumes"]}
    assert {name for name, volume in volumes.items() if "emptyDir" in volume} == {
        *("workload-socket", "credential-socket", "workload-certs", "istio-envoy", "istio-data"),
    }
    assert volumes["istio-envoy"] == {"emptyDir": {"medium": "Memory"}}
    assert [item["path"] for item in volumes["istio-podinfo"]["downwardAPI"]["items"]] == ["labels", "annotations"]
    assert volumes["istiod-ca-cert"] == {"configMap": {"name": "istio-ca-root-cert"}}
    assert volumes["istio-ca-crl"] == {"configMap": {"name": "istio-ca-crl", "optional": True}}


def test_the_annotations_name_the_revision_and_the_users_first_container() -> None:  # IC15
    annotations = injected(HELLO)["metadata"]["annotations"]
    assert annotations["istio.io/rev"] == "default"
    for name in ("default-container", "default-logs-container"):
        assert annotations[f"kubectl.kubernetes.io/{name}"] == "hello"
    own = annotated(**{"kubectl.kubernetes.io/default-container": "mine"})["metadata"]["annotations"]
    assert own["kubectl.kubernetes.io/default-container"] == "mine"


def test_the_status_lists_what_was_injected() -> None:  # IC16
    assert json.loads(injected(HELLO)["metadata"]["annotations"]["sidecar.istio.io/status"]) == {
        "initContainers": ["istio-init", "istio-proxy"],
        "containers": None,
        "volumes": [
            *("workload-socket", "credential-socket", "workload-certs", "istio-envoy", "istio-data", "istio-podinfo"),
            *("istio-token", "istiod-ca-cert", "istio-ca-crl"),
        ],
        "imagePullSecrets": None,
        "revision": "default",
    }


GATEWAY = """
metadata: {generateName: edge-1-, labels: {istio: edge}, annotations: {inject.istio.io/templates: gateway}}
spec:
  securityContext: {sysctls: [{name: net.core.somaxconn, value: "1024"}]}
  containers: [{name: istio-proxy, image: auto, ports: [{containerPort: 80}]}]
"""


def test_the_template_gateway_makes_a_router_that_captures_nothing_and_binds_any_port() -> None:  # IM3
    pod = injected(GATEWAY)
    [proxy] = pod["spec"]["containers"]
    assert proxy["args"][:2] == ["proxy", "router"]
    assert proxy["image"] == "mesh-reference/proxyv2"
    assert [port["containerPort"] for port in proxy["ports"]] == [15090, 80]
    assert "initContainers" not in pod["spec"]
    assert "startupProbe" not in proxy
    assert proxy["readinessProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 15021}
    assert pod["spec"]["securityContext"]["sysctls"] == [
        {"name": "net.core.somaxconn", "value": "1024"},
        {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
    ]
    assert "security.istio.io/tlsMode" not in pod["metadata"]["labels"]
    assert "istio-ca-crl" not in {volume["name"] for volume in pod["spec"]["volumes"]}
    assert json.loads(pod["metadata"]["annotations"]["sidecar.istio.io/status"])["containers"] == ["istio-proxy"]


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [
        ("waypoint", 'requested template "waypoint" not found; have gateway, sidecar'),
        ("", 'requested template "" not found; have gateway, sidecar'),
        ("grpc-agent", 'template "grpc-agent" is for gRPC without a proxy, which this mesh does not serve'),
        ("sidecar, gateway", "sidecar and gateway each bring an istio-proxy: choose one"),
    ],
)
def test_a_template_that_cannot_be_had_is_refused_by_name(chosen: str, problem: str) -> None:  # IM2
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"inject.istio.io/templates": chosen}
    with pytest.raises(AnnotationError, match=re.escape(problem)):
        inject(pod, "shop", InjectionSettings())


def test_the_same_template_twice_is_once() -> None:  # IM2
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"inject.istio.io/templates": "sidecar, sidecar"}
    assert proxy_of(inject(pod, "shop", InjectionSettings()).pod)


def test_an_annotation_without_effect_here_is_warned_of_and_the_pod_injected() -> None:
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"sidecar.istio.io/proxyImageType": "distroless"}
    result = inject(pod, "shop", InjectionSettings())
    assert proxy_of(result.pod)
    assert result.warnings == ("annotation sidecar.istio.io/proxyImageType has no effect in this mesh",)


def test_a_proxy_that_binds_low_ports_has_the_capability_as_root() -> None:
    pod = pod_of(HELLO)
    pod["metadata"]["annotations"] = {"sidecar.istio.io/capNetBindService": "true"}
    context = proxy_of(inject(pod, "shop", InjectionSettings()).pod)["securityContext"]
    assert context["capabilities"] == {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}
    assert (context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (0, 1337, False)
