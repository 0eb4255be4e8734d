"""``offline(DOCUMENTS)``: a mesh that is its documents alone; a request to it gives what a mesh must do with it.

It decides nothing (``oracle``) and sends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_mesh.contracts import Json, Request
from pytest_mesh.offline.assuming import with_pods, with_services
from pytest_mesh.offline.reading import gathered
from pytest_mesh.offline.replies import Reply
from pytest_mesh.oracle.errors import OracleError
from pytest_mesh.oracle.model import Source, World
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
    assume_pods: bool | None = None,
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
        assume_pods: put a pod behind every Service without one, and one with the labels of each subset. Default: where
            the documents hold no workload at all; and where they hold no Service either, each host of their http
            routes is taken for one. False: never. What is assumed is told (``Reply.explain``).
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
    if assume_pods is None and not world.workloads:
        world = with_pods(with_services(world))
    elif assume_pods:
        world = with_pods(world)
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
