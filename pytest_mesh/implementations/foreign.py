"""What stands in an installation's way on somebody's cluster: another injector, Istio's kinds, objects of the same names."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.implementations.webhooks import injectors
from pytest_mesh.kube import Kube, KubeError

_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_KINDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ISTIO = "istio.io"
_SHOWN = 12


def in_the_way(kube: Kube, documents: Sequence[Json]) -> list[str]:
    """Name all of it. Raises ``Infrastructure`` where the cluster does not tell."""
    try:
        found = [f"webhook {name}" for name in injectors(kube.list(_WEBHOOKS))]
        found += [
            f"CustomResourceDefinition {one['metadata']['name']}"
            for one in kube.list(_KINDS)
            if one["metadata"]["name"].partition(".")[2].endswith(_ISTIO)
        ]
        found += [name for one in documents if (name := _taken(kube, one))]
    except KubeError as error:
        raise Infrastructure(f"--mesh-install: what is there cannot be looked at: {error.message}") from error
    return list(dict.fromkeys(found))


def refuse(kube: Kube, cluster: str, documents: Sequence[Json], judged: str) -> None:
    """Raise ``Infrastructure`` where something is in the way; ``judged`` says how to judge the mesh that is there."""
    found = in_the_way(kube, documents)
    if not found:
        return
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    raise Infrastructure(
        f"--mesh-install: refused, for context {cluster!r} has what no run installed: {', '.join(found[:_SHOWN])}{more}; "
        f"to judge the mesh that is there leave --mesh-install out ({judged})"
    )


def _taken(kube: Kube, document: Json) -> str:
    """Name a document's object where one of that name is there; a kind that is not there has none."""
    metadata = document["metadata"]
    try:
        resource = kube.resource(document["apiVersion"], document["kind"])
    except KubeError as error:
        if error.status == 404:
            return ""
        raise
    path = resource.path(metadata.get("namespace", ""), metadata["name"])
    return f"{document['kind']} {metadata['name']}" if kube.find(path) is not None else ""
