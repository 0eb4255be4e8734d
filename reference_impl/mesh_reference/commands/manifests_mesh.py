"""A mesh from manifests alone: what the control plane would know if they were applied. Pure.

Workloads stand for one pod each and Services get endpoints by their selectors; addresses that no manifest names
are invented from the documentation ranges (192.0.2.0/24 on for pods, 198.51.100.0/24 on for Services).
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mesh_reference import documents
from mesh_reference.agent.environment import CONFIG_ANNOTATION, TRUE_WORDS
from mesh_reference.errors import MeshError
from mesh_reference.injection.proxy_config import ProxyConfigError, parse_proxy_config
from mesh_reference.injection.workloads import injectable_kinds
from mesh_reference.kube.watching import Event
from mesh_reference.model.proxies import Proxy
from mesh_reference.store.index import WATCHED, MeshIndex
from mesh_reference.validation import galley
from mesh_reference.xds.configuration import Configuration

if TYPE_CHECKING:
    from mesh_reference.documents import Document, Path
    from mesh_reference.settings import Settings

Json = dict[str, Any]
ConfigKey = tuple[str, str, str]

_WATCHED = {(resource.group, resource.kind): resource for resource in WATCHED}
_KEPT = frozenset({"Pod", "Service", "Deployment", "Namespace"})
_CAPTURE = "ISTIO_META_DNS_CAPTURE"
_TLS_MODE, _INJECT = "security.istio.io/tlsMode", "sidecar.istio.io/inject"


class UnknownPodError(MeshError):
    """No pod of that name is in the manifests or the cluster; ``str()`` lists those that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an object was written: a document of a file, and the way to it inside a List. None = from a cluster."""

    document: Document
    prefix: Path = ()

    def place(self, path: Path) -> str:
        """``file:line`` of a field."""
        return f"{self.document.source}:{self.document.line_of((*self.prefix, *path))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What is known, ready to be asked; ``origins`` is empty for objects of a cluster."""

    configuration: Configuration
    origins: Mapping[ConfigKey, Origin] = field(default_factory=dict)
    configs: Mapping[ConfigKey, Json] = field(default_factory=dict)
    """Istio's resources that are served, as they were written."""
    problems: tuple[str, ...] = ()
    resources: Mapping[ConfigKey, Json] = field(default_factory=dict)
    """Every resource of the mesh's API groups, served or not, as it was written."""
    objects: Mapping[ConfigKey, Json] = field(default_factory=dict)
    """Pods, Services, Deployments and Namespaces as they were written."""
    unreadable: tuple[str, ...] = ()
    """Files and documents that could not be read, one line each."""

    def proxy(self, name: str) -> Proxy:
        """The proxy of ``namespace/pod``; a workload's name will do. Raises `UnknownPodError`.

        It is a gateway where a Gateway's selector takes the pod, else a sidecar.
        """
        namespace, slash, pod_name = name.rpartition("/")
        namespace = namespace if slash else "default"
        pods = [pod for pod in self.configuration.snapshot.pods.values() if pod.namespace == namespace]
        gateways = self.configuration.snapshot.gateways.values()
        for pod in sorted(pods, key=lambda item: item.name):
            if pod_name in {pod.name, pod.workload}:
                return Proxy(
                    id=f"{pod.name}.{pod.namespace}",
                    namespace=pod.namespace,
                    address=pod.address,
                    service_account=pod.service_account,
                    labels=pod.labels,
                    is_gateway=any(item.selector and item.selects(pod.labels) for item in gateways),
                    answers_names=_answers_names(self.objects.get(("Pod", pod.namespace, pod.name)) or {}),
                )
        known = ", ".join(sorted(f"{pod.namespace}/{pod.name}" for pod in self.configuration.snapshot.pods.values()))
        raise UnknownPodError(f"no pod {namespace}/{pod_name}; there are: {known or 'none'}")

    def place(self, kind: str, namespace: str, name: str, path: Path) -> str:
        """``file:line`` of a field of a resource, or "" when it came from no file."""
        origin = self.origins.get((kind, namespace, name))
        return origin.place(path) if origin else ""

    def where(self, kind: str, namespace: str, name: str, path: Path) -> str:
        """The same; of what came from no file the resource and its field."""
        return self.place(kind, namespace, name, path) or f"{kind} {namespace}/{name} {documents.render(path)}"


def _answers_names(pod: Json) -> bool:
    """Does the pod ask for it: in its sidecar's environment, or where that is not injected yet in its annotation?"""
    spec = pod.get("spec") or {}
    found = [
        str(variable.get("value"))
        for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        if container.get("name") == "istio-proxy"
        for variable in container.get("env") or ()
        if variable.get("name") == _CAPTURE
    ]
    if not found:
        text = str((pod.get("metadata", {}).get("annotations") or {}).get(CONFIG_ANNOTATION) or "")
        with contextlib.suppress(ProxyConfigError):
            found = [str((parse_proxy_config(text).get("proxyMetadata") or {}).get(_CAPTURE, ""))]
    return any(word.lower() in TRUE_WORDS for word in found)


def of_objects(objects: Iterable[Json], settings: Settings, origins: Mapping[ConfigKey, Origin] | None = None) -> Mesh:
    """The mesh of these objects; those of kinds that the control plane does not watch are passed over."""
    index = MeshIndex(settings.domain)
    written: dict[ConfigKey, Json] = {}
    kept: dict[ConfigKey, Json] = {}
    for obj in sorted(objects, key=_refers):
        if obj.get("kind") in _KEPT:
            namespace = "" if obj["kind"] == "Namespace" else obj["metadata"].get("namespace", "")
            kept[obj["kind"], namespace, obj["metadata"]["name"]] = obj
        if galley.is_ours(obj):
            meta = obj["metadata"]
            written[str(obj.get("kind")), str(meta.get("namespace", "")), str(meta["name"])] = obj
        group = str(obj.get("apiVersion") or "").rpartition("/")[0]
        resource = _WATCHED.get((group, str(obj.get("kind"))))
        if resource is not None:
            index.apply(resource, Event("upsert", obj))
    told = [f"{item.object}: {item.text}" for found in index.problems.values() for item in found]
    refused = {key for key, found in index.problems.items() if any(not item.served for item in found)}
    return Mesh(
        configuration=Configuration(index.snapshot(), settings),
        origins=origins or {},
        configs={key: obj for key, obj in index.configs.items() if key not in refused},
        problems=tuple(told),
        resources=written,
        objects=kept,
    )


def _refers(obj: Json) -> bool:
    """Delegates come before the roots that refer to them: nothing is missing in between."""
    spec = obj.get("spec")
    return obj.get("kind") == "VirtualService" and isinstance(spec, dict) and bool(spec.get("hosts"))


def of_documents(documents: Iterable[Document], settings: Settings, namespace: str) -> Mesh:
    """The mesh that these documents would make; ``namespace`` counts where they name none."""
    origins: dict[ConfigKey, Origin] = {}
    objects: list[Json] = []
    for number, (document, prefix, value) in enumerate(_each(documents)):
        obj = _normal(value, namespace, number)
        objects.append(obj)
        meta = obj["metadata"]
        namespace_of = "" if obj.get("kind") == "Namespace" else meta["namespace"]
        origins[str(obj.get("kind")), namespace_of, meta["name"]] = Origin(document=document, prefix=prefix)
    return of_objects(completed(objects), settings, origins)


def _each(documents: Iterable[Document]) -> Iterator[tuple[Document, Path, Json]]:
    for document in documents:
        value = document.value
        if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
            for index, item in enumerate(value["items"]):
                if isinstance(item, dict):
                    yield document, ("items", index), item
        elif isinstance(value, dict):
            yield document, (), value


def _normal(value: Json, namespace: str, number: int) -> Json:
    """With the metadata that an API server would give; the order of the documents is their age."""
    metadata = value.get("metadata") if isinstance(value.get("metadata"), dict) else {}
    age = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    return {
        **value,
        "metadata": {
            "creationTimestamp": age,
            "uid": str(number),
            **(metadata or {}),
            "namespace": str((metadata or {}).get("namespace") or namespace),
            "name": str((metadata or {}).get("name") or (metadata or {}).get("generateName") or ""),
        },
    }


def completed(objects: list[Json]) -> list[Json]:
    """With the pods that the workloads stand for, addresses, and endpoints of Services that have none."""
    pods = [_addressed(pod, number) for number, pod in enumerate(_pods(objects))]
    others = [obj for obj in objects if obj.get("kind") != "Pod"]
    sliced = {
        (obj["metadata"]["namespace"], (obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name"))
        for obj in others
        if obj.get("kind") == "EndpointSlice"
    }
    out: list[Json] = [*pods]
    for number, obj in enumerate(others):
        if obj.get("kind") != "Service" or obj.get("apiVersion") != "v1":
            out.append(obj)
            continue
        out.append(_with_address(obj, number))
        meta = obj["metadata"]
        if (meta["namespace"], meta["name"]) not in sliced and (obj.get("spec") or {}).get("selector"):
            out.append(_endpoints(obj, pods))
    return out


def _pods(objects: Iterable[Json]) -> Iterator[Json]:
    for obj in objects:
        place = injectable_kinds().get((str(obj.get("apiVersion")), str(obj.get("kind"))))
        if place is None:
            continue
        if not place:
            yield obj
            continue
        template: Any = obj
        for part in place:
            template = template.get(part) if isinstance(template, dict) else None
        if isinstance(template, dict):
            meta = obj["metadata"]
            inner = template.get("metadata") or {}
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **inner,
                    **{name: meta[name] for name in ("name", "namespace", "creationTimestamp", "uid")},
                },
                "spec": template.get("spec") or {},
            }


def _addressed(pod: Json, number: int) -> Json:
    """Taken as injected unless it says no: the label that the injector sets is what endpoints go by."""
    labels = dict(pod["metadata"].get("labels") or {})
    if labels.get(_INJECT) != "false":
        labels.setdefault(_TLS_MODE, "istio")
    status = {"podIP": str(ipaddress.ip_address("192.0.2.1") + number), "phase": "Running", **(pod.get("status") or {})}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}, "status": status}


def _with_address(service: Json, number: int) -> Json:
    spec = service.get("spec") or {}
    if spec.get("clusterIP") or spec.get("clusterIPs") or spec.get("type") == "ExternalName":
        return service
    return {**service, "spec": {**spec, "clusterIP": str(ipaddress.ip_address("198.51.100.1") + number)}}


def _endpoints(service: Json, pods: Iterable[Json]) -> Json:
    spec, meta = service["spec"], service["metadata"]
    wanted = spec["selector"].items()
    chosen = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == meta["namespace"] and wanted <= (pod["metadata"].get("labels") or {}).items()
    ]
    ports = [
        {"name": port.get("name") or "", "port": target, "protocol": port.get("protocol") or "TCP"}
        for port in spec.get("ports") or ()
        if (target := _target(port, chosen)) is not None
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": f"{meta['name']}-from-manifests",
            "namespace": meta["namespace"],
            "labels": {"kubernetes.io/service-name": meta["name"]},
        },
        "ports": ports,
        "endpoints": [{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True}} for pod in chosen],
    }


def _target(port: Json, pods: Iterable[Json]) -> int | None:
    target = port.get("targetPort", port.get("port"))
    if not isinstance(target, str):
        return target
    for pod in pods:
        for container in (pod.get("spec") or {}).get("containers") or ():
            for known in container.get("ports") or ():
                if known.get("name") == target:
                    number: int = known["containerPort"]
                    return number
    return None
