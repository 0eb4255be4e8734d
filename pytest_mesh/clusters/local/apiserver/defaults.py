"""What Kubernetes fills in for each built-in kind. Pure; every function changes its object in place.

Defaults that the OpenAPI schema states (a port's protocol) are ``decoding``'s. Values
that need the cluster (a ClusterIP, a service account's token volume) are not defaults.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.contracts import Json

DEFAULT_MODE = 420
"""Octal 0644, the mode of projected files."""

TOLERATION_SECONDS = 300


def apply(key: str, obj: Json) -> None:
    """Fill in what the kind stored under ``key`` leaves open."""
    function = _KINDS.get(key)
    if function is not None:
        function(obj)


def _probe(probe: Json | None) -> None:
    if probe is None:
        return
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    _handler(probe)


def _handler(handler: Json | None) -> None:
    if handler and (http := handler.get("httpGet")) is not None:
        if not http.get("path"):
            http["path"] = "/"
        if not http.get("scheme"):
            http["scheme"] = "HTTP"
    if handler and (grpc := handler.get("grpc")) is not None:
        grpc.setdefault("service", "")


def _pull_policy(image: str) -> str:
    name = image.rpartition("/")[2]
    tag = name.partition("@")[0].partition(":")[2]
    return "Always" if tag == "latest" or (not tag and "@" not in name) else "IfNotPresent"


def _container(container: Json) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        _probe(container.get(name))
    lifecycle = container.get("lifecycle") or {}
    for name in ("postStart", "preStop"):
        _handler(lifecycle.get(name))
    for variable in container.get("env", ()):
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")


def _volume(volume: Json) -> None:
    if volume.keys() == {"name"}:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if name in volume:
            volume[name].setdefault("defaultMode", DEFAULT_MODE)
    items = list((volume.get("downwardAPI") or {}).get("items", ()))
    for source in (volume.get("projected") or {}).get("sources", ()):
        if (token := source.get("serviceAccountToken")) is not None:
            token.setdefault("expirationSeconds", 3600)
        items += (source.get("downwardAPI") or {}).get("items", ())
    for item in items:
        if (reference := item.get("fieldRef")) is not None:
            reference.setdefault("apiVersion", "v1")
    if (host := volume.get("hostPath")) is not None:
        host.setdefault("type", "")


def pod_spec(spec: Json) -> None:
    """Fill in a Pod's spec or a template's."""
    for name, value in (
        ("restartPolicy", "Always"),
        ("terminationGracePeriodSeconds", 30),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
    ):
        if spec.get(name) in (None, ""):
            spec[name] = value
    spec.setdefault("securityContext", {})
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif "serviceAccount" in spec:
        spec["serviceAccountName"] = spec["serviceAccount"]
    for name in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(name, ()):
            _container(container)
            if spec.get("hostNetwork"):
                for port in container.get("ports", ()):
                    port.setdefault("hostPort", port["containerPort"])
    for volume in spec.get("volumes", ()):
        _volume(volume)


def _template(template: Json | None) -> None:
    if template is None:
        return
    template.setdefault("metadata", {})
    pod_spec(template.setdefault("spec", {}))


def _pod(pod: Json) -> None:
    spec = pod.setdefault("spec", {})
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        limits = container["resources"].get("limits")
        if limits:
            # A limit without a request is a request; of a template that is said once there is a Pod.
            container["resources"]["requests"] = {**limits, **container["resources"].get("requests", {})}


def admit_pod(pod: Json) -> None:
    """Fill in what the plugins ServiceAccount and DefaultTolerationSeconds do."""
    spec = pod["spec"]
    if not spec.get("serviceAccountName"):
        spec["serviceAccountName"] = spec["serviceAccount"] = "default"
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") in (key, None, "") and t.get("effect") in ("NoExecute", None, "") for t in tolerations):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS}
            )


def _service(service: Json) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}).setdefault("timeoutSeconds", 10800)
    spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _deployment(deployment: Json) -> None:
    spec = deployment.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    _template(spec.get("template"))


def _replica_set(replica_set: Json) -> None:
    spec = replica_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    _template(spec.get("template"))


def _stateful_set(stateful_set: Json) -> None:
    spec = stateful_set.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("podManagementPolicy", "OrderedReady")
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("partition", 0)
        # Behind a feature gate that is off: Kubernetes drops it as well.
        rolling.pop("maxUnavailable", None)
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    _template(spec.get("template"))


def _daemon_set(daemon_set: Json) -> None:
    spec = daemon_set.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    _template(spec.get("template"))


def _job(job: Json) -> None:
    spec = job.setdefault("spec", {})
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    replacement = "Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed"
    for name, value in (
        ("parallelism", 1),
        ("backoffLimit", 2**31 - 1 if "backoffLimitPerIndex" in spec else 6),
        ("completionMode", "NonIndexed"),
        ("suspend", False),
        ("manualSelector", False),
        ("podReplacementPolicy", replacement),
    ):
        spec.setdefault(name, value)
    _template(spec.get("template"))
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)


def select_pods(job: Json) -> None:
    """Give a new Job the selector and labels by which its Pods are its own alone."""
    metadata, spec = job["metadata"], job["spec"]
    if spec.get("manualSelector"):
        return
    carried = spec.setdefault("template", {}).setdefault("metadata", {}).setdefault("labels", {})
    for prefix in ("", "batch.kubernetes.io/"):
        carried.setdefault(f"{prefix}job-name", metadata["name"])
        carried.setdefault(f"{prefix}controller-uid", metadata["uid"])
    chosen = spec.setdefault("selector", {}).setdefault("matchLabels", {})
    chosen.setdefault("batch.kubernetes.io/controller-uid", metadata["uid"])
    if not metadata.get("labels"):
        metadata["labels"] = dict(carried)


def _cron_job(cron_job: Json) -> None:
    spec = cron_job.setdefault("spec", {})
    for name, value in (
        ("concurrencyPolicy", "Allow"),
        ("suspend", False),
        ("successfulJobsHistoryLimit", 3),
        ("failedJobsHistoryLimit", 1),
    ):
        spec.setdefault(name, value)
    template = spec.setdefault("jobTemplate", {})
    template.setdefault("metadata", {})
    _template(template.setdefault("spec", {}).get("template"))


def _secret(secret: Json) -> None:
    for name, value in secret.pop("stringData", {}).items():
        secret.setdefault("data", {})[name] = base64.b64encode(value.encode()).decode()
    if not secret.get("type"):
        secret["type"] = "Opaque"


def _namespace(namespace: Json) -> None:
    metadata = namespace["metadata"]
    if metadata.get("name"):
        metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
    if not metadata.get("deletionTimestamp"):
        namespace.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
        namespace.setdefault("status", {}).setdefault("phase", "Active")


def _webhooks(configuration: Json) -> None:
    for webhook in configuration.get("webhooks", ()):
        for name, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", 10)):
            webhook.setdefault(name, value)
        webhook.setdefault("namespaceSelector", {})
        webhook.setdefault("objectSelector", {})
        if configuration.get("kind") == "MutatingWebhookConfiguration":
            webhook.setdefault("reinvocationPolicy", "Never")
        service = webhook.get("clientConfig", {}).get("service")
        if service is not None:
            service.setdefault("port", 443)
        for rule in webhook.get("rules", ()):
            rule.setdefault("scope", "*")


def _crd(crd: Json) -> None:
    spec = crd.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        names.setdefault("singular", str(names["kind"]).lower())
        names.setdefault("listKind", f"{names['kind']}List")
    conversion = spec.setdefault("conversion", {})
    conversion.setdefault("strategy", "None")


def _endpoint_slice(endpoint_slice: Json) -> None:
    for port in endpoint_slice.get("ports", ()):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _endpoints(endpoints: Json) -> None:
    for subset in endpoints.get("subsets", ()):
        for port in subset.get("ports", ()):
            port.setdefault("protocol", "TCP")


def _binding(binding: Json) -> None:
    reference: Any = binding.get("roleRef")
    if isinstance(reference, dict):
        reference.setdefault("apiGroup", "rbac.authorization.k8s.io")
    for subject in binding.get("subjects", ()):
        subject.setdefault("apiGroup", "" if subject.get("kind") == "ServiceAccount" else "rbac.authorization.k8s.io")
        if subject["apiGroup"] == "":
            del subject["apiGroup"]


def _network_policy(policy: Json) -> None:
    spec = policy.setdefault("spec", {})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, ()):
            for port in rule.get("ports", ()):
                port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _autoscaler(autoscaler: Json) -> None:
    autoscaler.setdefault("spec", {}).setdefault("minReplicas", 1)


_KINDS: dict[str, Callable[[Json], None]] = {
    "pods": _pod,
    "services": _service,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "secrets": _secret,
    "priorityclasses.scheduling.k8s.io": lambda obj: obj.setdefault("preemptionPolicy", "PreemptLowerPriority"),
    "namespaces": _namespace,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "customresourcedefinitions.apiextensions.k8s.io": _crd,
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "endpoints": _endpoints,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
    "networkpolicies.networking.k8s.io": _network_policy,
    "horizontalpodautoscalers.autoscaling": _autoscaler,
}
