"""Kubernetes documents into a ``World``: which kinds count, which do not, and which the oracle refuses."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from pytest_mesh.contracts import Json
from pytest_mesh.oracle.errors import Malformed, OracleError, Unsupported
from pytest_mesh.oracle.fields import Fields, Line
from pytest_mesh.oracle.model import DestinationRule, Service, Sidecar, Subset, Workload, World
from pytest_mesh.oracle.names import resolve
from pytest_mesh.oracle.reading_services import read_service, read_service_entry, read_sidecar
from pytest_mesh.oracle.reading_virtual_services import Written, read_virtual_services

_WITHOUT_INFLUENCE = {
    "v1": {"Namespace", "ServiceAccount", "ConfigMap", "Secret", "PersistentVolumeClaim", "PersistentVolume", "LimitRange", "ResourceQuota"},
    "networking.istio.io": {"Gateway", "ProxyConfig"},
    "networking.k8s.io": {"Ingress", "IngressClass"},
    "telemetry.istio.io": {"Telemetry"},
}  # fmt: skip
"""By API group: what changes nothing about where a pod's request goes."""
_GROUPS_WITHOUT_INFLUENCE = {
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "autoscaling", "cert-manager.io", "coordination.k8s.io",
    "monitoring.coreos.com", "policy", "rbac.authorization.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
}  # fmt: skip
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}
_ASSUMED = {
    "connectionPool": "no connection pool overflows",
    "outlierDetection": "no pod is ejected",
    "loadBalancer": "every pod of a subset may answer",
}


def read_world(
    found: Iterable[tuple[Json, str]],
    *,
    namespace: str = "default",
    domain: str = "cluster.local",
    root_namespace: str = "istio-system",
    registry_only: bool = False,
) -> World:
    """Read documents, each with the name of its file (may be empty).

    ``namespace`` is that of documents that name none. Raises ``Unsupported`` for a kind or a field that the oracle
    does not model, ``Malformed`` for a document that a mesh refuses.
    """
    services: list[Service] = []
    workloads: list[Workload] = []
    routes: list[Written] = []
    sidecars: list[Sidecar] = []
    rules: list[DestinationRule] = []
    assumed: list[str] = []
    for document, file in found:
        kind = str(document.get("kind", ""))
        metadata = document.get("metadata") or {}
        own = str(metadata.get("namespace") or namespace)
        line = Line(file=file, object=f"{kind} {own}/{metadata.get('name', '')}")
        try:
            match (kind, str(document.get("apiVersion", "")).partition("/")[0]):
                case ("Service", "v1"):
                    services.append(read_service(document, own, domain, line))
                case ("ServiceEntry", "networking.istio.io"):
                    services += read_service_entry(document, own, line)
                case ("Sidecar", "networking.istio.io"):
                    sidecars.append(read_sidecar(document, own, line))
                case ("Pod", "v1"):
                    if _is_endpoint(document.get("status") or {}):
                        workloads.append(_workload(metadata, metadata, own))
                case (_, "apps") if kind in _WORKLOADS:
                    if document["spec"].get("replicas", 1):
                        workloads.append(_workload(metadata, document["spec"]["template"]["metadata"], own))
                case ("VirtualService", "networking.istio.io"):
                    routes.append((document, own, line))
                case ("DestinationRule", "networking.istio.io"):
                    rules.append(_destination_rule(document, own, domain, line))
                case ("PeerAuthentication", "security.istio.io"):
                    assumed.append(f"client and server both have a proxy of the mesh ({line})")
                case (_, group) if group in _GROUPS_WITHOUT_INFLUENCE or kind in _WITHOUT_INFLUENCE.get(group, ()):
                    continue
                case _:
                    raise Unsupported(f"{line}: the oracle does not model this kind ({document.get('apiVersion')})")
        except OracleError:
            raise
        except KeyError as error:
            raise Malformed(f"{line}: field {error.args[0]} is missing") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise Malformed(f"{line}: a field is of another type than its kind has it ({error})") from error
    by_age = partial(sorted, key=lambda one: (one.created, one.name, one.namespace))
    return World(
        services=tuple(services),
        workloads=tuple(workloads),
        virtual_services=tuple(by_age(read_virtual_services(routes, domain))),
        destination_rules=tuple(by_age(rules)),
        sidecars=tuple(by_age(sidecars)),
        domain=domain,
        root_namespace=root_namespace,
        registry_only=registry_only,
        assumptions=tuple(assumed),
    )


def _is_endpoint(status: Json) -> bool:
    """Whether requests may go to a Pod. One whose status nobody gives is as its author wants it: ready."""
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return status.get("phase") not in {"Succeeded", "Failed"} and conditions.get("Ready", "True") == "True"


def _workload(metadata: Json, template: Json, namespace: str) -> Workload:
    return Workload(name=metadata["name"], namespace=namespace, labels=dict(template.get("labels") or {}))


def _destination_rule(document: Json, namespace: str, domain: str, line: Line) -> DestinationRule:
    spec = Fields(document.get("spec") or {}, line.field("spec"))
    spec.knows({"host", "subsets", "trafficPolicy", "exportTo"}, refused={"workloadSelector"})
    subsets, assumed = [], list(_policy(spec))
    for fields in spec.each("subsets"):
        fields.knows({"name", "labels", "trafficPolicy"})
        subsets.append(Subset(name=fields.text("name"), labels=fields.pairs("labels"), line=fields.line))
        assumed += _policy(fields)
    return DestinationRule(
        name=document["metadata"]["name"],
        namespace=namespace,
        host=resolve(spec.text("host"), namespace, domain),
        subsets=tuple(subsets),
        export_to=frozenset(spec.texts("exportTo")),
        created=str(document["metadata"].get("creationTimestamp") or ""),
        assumptions=tuple(dict.fromkeys(assumed)),
    )


def _policy(fields: Fields) -> Iterable[str]:
    """Give what must be assumed under a traffic policy; refuses one that changes where a request goes, or how."""
    policy = fields.below("trafficPolicy")
    if policy is None:
        return []
    policy.knows({*_ASSUMED, "portLevelSettings"}, refused={"tls", "tunnel", "proxyProtocol", "retryBudget"})
    balancing = policy.below("loadBalancer")
    if balancing is not None:
        balancing.knows(
            {"simple", "consistentHash", "warmup"}, refused={"localityLbSetting", "warmupDurationSecs", "zoneAware"}
        )
        if balancing.text("simple") == "PASSTHROUGH":
            raise Unsupported(f"{balancing.at('simple')}: the oracle does not model PASSTHROUGH")
    for port in policy.each("portLevelSettings"):
        port.knows({*_ASSUMED, "port"}, refused={"tls", "tunnel"})
    return [f"{_ASSUMED[name]} ({policy.at(name)})" for name in _ASSUMED if name in policy]
