"""``offline(DOCUMENTS)``: a mesh that is its documents alone; a request to it gives what a mesh must do with it.

It decides nothing (``oracle``) and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_mesh.contracts import Json, Request
from pytest_mesh.offline.reading import gathered
from pytest_mesh.offline.replies import Reply
from pytest_mesh.oracle.errors import OracleError
from pytest_mesh.oracle.model import Source, Workload, World
from pytest_mesh.oracle.predicting import predict
from pytest_mesh.oracle.reading import read_world

Documents = str | Path | Mapping[str, Any] | Sequence[Any]
"""A file or a folder (YAML, JSON), YAML text, a document, or a list of any of these."""


class OfflineMesh:
    """A mesh of documents, seen from one client's pod."""

    def __init__(self, world: World, client: Source) -> None:
        self._world = world
        self._client = client

    def client(self, *, namespace: str = "", labels: Mapping[str, str] | None = None) -> OfflineMesh:
        """Give the same mesh seen from another client: its namespace (default: as before) and its pod's labels."""
        return OfflineMesh(
            self._world, Source(namespace=namespace or self._client.namespace, labels=dict(labels or {}))
        )

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Say what comes of a GET. A header ``host`` takes the place of the URL's."""
        return self.request("GET", url, headers=headers)

    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Say what comes of a request."""
        return self.send(Request(url=url, method=method, headers=tuple((headers or {}).items())))

    def connect(self, host: str, port: int, *, server_name: str | None = None) -> Reply:
        """Say where a connection leads that the proxy routes as a whole: TCP, or TLS where a server name is given."""
        scheme, headers = ("tcp", ()) if server_name is None else ("tls", (("sni", server_name),))
        return self.send(Request(url=f"{scheme}://{host}:{port}", headers=headers))

    def send(self, request: Request) -> Reply:
        """Say what comes of a request. Raises ``oracle.errors.Unsupported`` where the documents or it are not modelled."""
        try:
            prediction = predict(self._world, self._client, request)
        except OracleError as error:
            error.add_note(f"asked: {request.method} {request.url} from namespace {self._client.namespace}")
            raise
        return Reply(request=request, prediction=prediction)


def offline(
    documents: Documents,
    *,
    namespace: str = "",
    labels: Mapping[str, str] | None = None,
    domain: str = "cluster.local",
    root_namespace: str = "istio-system",
    registry_only: bool = False,
    ignoring: Sequence[str] = (),
    assume_pods: bool = False,
    bases: Sequence[Path] = (),
) -> OfflineMesh:
    """Read documents and give the mesh that they make.

    Args:
        documents: a file or folder (searched to the bottom for ``.yaml``, ``.yml``, ``.json``), YAML text, a document,
            or a list of these. A relative path is looked for below ``bases``.
        namespace: of documents that name none, and of the client. Default: the one that the documents name, else
            ``default``; where they name several it must be given.
        labels: the client pod's.
        domain: the cluster's.
        root_namespace: the mesh's.
        registry_only: what the mesh's ``outboundTrafficPolicy`` says: whether hosts that nobody knows are refused.
        ignoring: kinds that are left out of account (``AuthorizationPolicy``): each such document becomes an assumption.
        assume_pods: put a pod behind every Service without one, and one with the labels of each subset: for
            documents that hold routes and no workloads.
        bases: folders of relative paths; default: the current one.

    Raises:
        pytest_mesh.documents.DocumentError: for what is no document; names the file.
        pytest_mesh.oracle.errors.Malformed: for a document that a mesh refuses; names file, object, field and rule.
        pytest_mesh.oracle.errors.Unsupported: for a kind or a field that the oracle does not model; the same.

    """
    found = gathered(documents, tuple(bases) or (Path.cwd(),))
    own = namespace or _only_namespace(found)
    counted: list[tuple[Json, str]] = []
    left_out: list[str] = []
    for document, file in found:
        if document["kind"] in ignoring:
            left_out.append(f"{document['kind']} {document['metadata']['name']} ({file}) changes nothing")
        else:
            counted.append((document, file))
    world = read_world(
        counted, namespace=own, domain=domain, root_namespace=root_namespace, registry_only=registry_only
    )
    if assume_pods:
        world = _with_pods(world)
    return OfflineMesh(
        replace(world, assumptions=(*world.assumptions, *left_out)), Source(namespace=own, labels=dict(labels or {}))
    )


def _only_namespace(found: Sequence[tuple[Json, str]]) -> str:
    named = sorted({str(one["metadata"]["namespace"]) for one, _ in found if one["metadata"].get("namespace")})
    if len(named) > 1:
        raise ValueError(
            f"the documents name the namespaces {', '.join(named)}: say from which one requests come, offline(..., namespace=...)"
        )
    return named[0] if named else "default"


def _with_pods(world: World) -> World:
    """Put pods behind Services that have none: one plain, one with the labels of each subset."""
    made: dict[tuple[str, str], Workload] = {}
    assumed = []
    for service in world.services:
        if not service.selector or world.behind(service, {}):
            continue
        subsets = [one for rule in world.destination_rules if rule.host == service.host for one in rule.subsets]
        assumed.append(f"Service {service.host} has pods, and each of its subsets has ({service.line})")
        for name, labels in [("pod", {}), *((one.name, one.labels) for one in subsets)]:
            pod = f"{service.name}-{name}"
            made[service.namespace, pod] = Workload(
                name=pod, namespace=service.namespace, labels={**service.selector, **labels}
            )
    return replace(world, workloads=(*world.workloads, *made.values()), assumptions=(*world.assumptions, *assumed))
