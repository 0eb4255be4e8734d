"""Mistakes of namespaces, pods and Deployments: injection labels, annotations, user ids, Services in conflict. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from mesh_reference.commands.analysis_messages import Message, message
from mesh_reference.injection.annotations import INJECT, AnnotationError, check_annotations
from mesh_reference.injection.decision import IGNORED_NAMESPACES

if TYPE_CHECKING:
    from mesh_reference.commands.manifests_mesh import Mesh

Json = Mapping[str, Any]
PROXY, PROXY_UID = "istio-proxy", 1337
_INJECTION, _REVISION = "istio-injection", "istio.io/rev"


def find(mesh: Mesh) -> Iterator[Message]:
    """Every finding that concerns a workload or its namespace."""
    injected: dict[str, bool] = {}
    for (kind, namespace, name), raw in mesh.objects.items():
        if kind == "Namespace":
            labels = (raw.get("metadata") or {}).get("labels") or {}
            injected[name] = labels.get(_INJECTION) == "enabled" or (_REVISION in labels and _INJECTION not in labels)
            yield from _namespace(mesh, (kind, namespace, name), labels)
    for key, raw in mesh.objects.items():
        if key[0] == "Pod":
            yield from _pod(mesh, key, raw, injected.get(key[1], False))
        elif key[0] == "Deployment":
            yield from _deployment(mesh, key, raw)


def _namespace(mesh: Mesh, key: tuple[str, str, str], labels: Json) -> Iterator[Message]:
    """IST0102, IST0123."""
    name = key[2]
    if _INJECTION in labels and _REVISION in labels:
        both = f"[{_INJECTION}={labels[_INJECTION]} {_REVISION}={labels[_REVISION]}]"
        text = (
            f"The namespace has more than one type of injection labels {both}, which may lead to undefined behavior. Make "
            "sure only one injection label exists."
        )
        yield message(mesh, "IST0123", key, ("metadata", "labels"), text)
    own = {*IGNORED_NAMESPACES, mesh.configuration.settings.root_namespace}
    has_pods = any(kind == "Pod" and namespace == name for kind, namespace, _ in mesh.objects)
    if has_pods and _INJECTION not in labels and _REVISION not in labels and name not in own:
        text = (
            f"The namespace is not enabled for Istio injection. Run 'kubectl label namespace {name} "
            f"istio-injection=enabled' to enable it, or 'kubectl label namespace {name} istio-injection=disabled' to "
            "explicitly mark it as not needing injection."
        )
        yield message(mesh, "IST0102", key, ("metadata",), text)


def _pod(mesh: Mesh, key: tuple[str, str, str], raw: Json, injected: bool) -> Iterator[Message]:
    """IST0103, IST0125, IST0144."""
    metadata, spec = raw.get("metadata") or {}, raw.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    wish = (metadata.get("labels") or {}).get(INJECT, annotations.get(INJECT))
    has_proxy = any(container.get("name") == PROXY for container in containers)
    # Manifests are taken before injection: only a cluster's pods can lack their sidecar.
    if injected and not mesh.origins and not has_proxy and wish != "false" and not spec.get("hostNetwork"):
        text = (
            f"The pod {key[1]}/{key[2]} is missing the Istio proxy. This can often be resolved by restarting or redeploying "
            "the workload."
        )
        yield message(mesh, "IST0103", key, ("spec", "containers"), text)
    for name, value in annotations.items():
        try:
            check_annotations({name: str(value)})
        except AnnotationError as problem:
            text = f"Invalid annotation {name}: {problem}"
            yield message(mesh, "IST0125", key, ("metadata", "annotations", name), text)
    users = [
        spec.get("securityContext") or {},
        *(item.get("securityContext") or {} for item in containers if item.get("name") != PROXY),
    ]
    if any(user.get("runAsUser") == PROXY_UID for user in users):
        yield message(mesh, "IST0144", key, ("spec",), f"User ID (UID) {PROXY_UID} is reserved for the sidecar proxy.")


def _deployment(mesh: Mesh, key: tuple[str, str, str], raw: Json) -> Iterator[Message]:
    """IST0137: which of the Services' ports is meant, the inbound side of the pods cannot tell."""
    template = (raw.get("spec") or {}).get("template") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    by_target: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (kind, namespace, name), service in sorted(mesh.objects.items()):
        spec = service.get("spec") or {}
        selector = spec.get("selector") or {}
        if kind != "Service" or namespace != key[1] or not selector or not selector.items() <= labels.items():
            continue
        for port in spec.get("ports") or ():
            by_target[str(port.get("targetPort", port.get("port")))][int(port.get("port") or 0)].append(
                f"{namespace}/{name}"
            )
    for target, ports in by_target.items():
        services = sorted({name for names in ports.values() for name in names})
        if len(ports) > 1 and len(services) > 1:
            text = (
                f"This deployment {key[2]} is associated with multiple services [{' '.join(services)}] using targetPort "
                f'"{target}" but different ports: [{" ".join(map(str, sorted(ports)))}].'
            )
            yield message(mesh, "IST0137", key, ("spec", "template"), text)
