"""Where commands take their mesh or dump from: files, a directory, standard input, or a cluster. The edge: all I/O is here."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mesh_reference import documents, manifest_files
from mesh_reference.commands import core_shapes, dump
from mesh_reference.commands.manifests_mesh import Mesh, of_documents, of_objects
from mesh_reference.errors import ApiFailure, MeshError
from mesh_reference.settings import Settings

if TYPE_CHECKING:
    from mesh_reference.kube.client import Kube

Json = dict[str, Any]
Result = TypeVar("Result")

_GOODBYE_SECONDS = 0.1


class SourceError(MeshError):
    """A file or a cluster that cannot be read; ``str()`` is one line."""


def read_documents(names: tuple[str, ...]) -> tuple[list[documents.Document], list[str]]:
    """The documents of files, of all files below a directory, or of ``-``; and what could not be read, one line each."""
    found: list[documents.Document] = []
    problems: list[str] = []
    for manifest in manifest_files.each(names):
        if isinstance(manifest, manifest_files.UnreadableError):
            problems.append(str(manifest))
            continue
        for item in documents.each(manifest.text, manifest.name):
            if isinstance(item, documents.DocumentError):
                problems.append(str(item))
            elif item.value is not None:
                told = list(_problems_of(item))
                problems += told
                if not told or _is_list(item.value):
                    found.append(item)
    return found, problems


def _problems_of(document: documents.Document) -> Iterator[str]:
    """What keeps the document, or an item of a List, from being read; such items are taken out."""
    if not _is_list(document.value):
        yield from _told(document, document.value, ())
        return
    for index, item in enumerate(document.value["items"]):
        told = list(_told(document, item, ("items", index)))
        yield from told
        if told:
            document.value["items"][index] = None


def _told(document: documents.Document, value: Any, prefix: documents.Path) -> Iterator[str]:
    place = f"{document.source}:{document.line_of(prefix)}:1"
    if not isinstance(value, dict) or not all(
        isinstance(value.get(key), str) and value[key] for key in ("apiVersion", "kind")
    ):
        yield f"{place}: a document needs apiVersion and kind"
        return
    problem = core_shapes.problem(value)
    if problem is not None:
        path, text = problem
        line = document.line_of((*prefix, *path))
        yield f"{document.source}:{line}:1: {value['kind']}: {documents.render(path)} {text}"


def _is_list(value: Any) -> bool:
    return isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list)


def read_dump(name: str) -> tuple[dump.Dump, Json]:
    """A config dump in a file, and its JSON. Raises `SourceError`."""
    try:
        value = json.loads(manifest_files.read(name))
        return dump.read(value), value
    except manifest_files.UnreadableError as problem:
        raise SourceError(str(problem)) from problem
    except (ValueError, RecursionError) as problem:
        raise SourceError(f"{name}: not JSON: {problem}") from problem
    except dump.DumpError as problem:
        raise SourceError(f"{name}: {problem}") from problem


def mesh_of_files(names: tuple[str, ...], namespace: str) -> Mesh:
    """The mesh that these manifests would make, without what cannot be read. Raises `SourceError` when nothing can."""
    found, problems = read_documents(names)
    if problems and not found:
        raise SourceError("\n".join(problems))
    return replace(of_documents(found, Settings(), namespace), unreadable=tuple(problems))


async def mesh_of_cluster(kube: Kube) -> Mesh:
    """The mesh as the API server's objects make it, with the mesh config of the default control plane."""
    from mesh_reference import mesh_config
    from mesh_reference.errors import NotFound
    from mesh_reference.kube import resources
    from mesh_reference.model.schema.kinds import KINDS
    from mesh_reference.store.index import WATCHED

    settings = Settings()
    try:
        held = await kube.get(resources.CONFIG_MAPS, mesh_config.CONFIG_MAP, settings.root_namespace)
    except NotFound:
        held = {}
    text = (held.get("data") or {}).get(mesh_config.KEY, "")
    settings = mesh_config.settings_with(settings, mesh_config.parse_mesh_config(text))
    objects: list[Json] = []
    kinds = [
        resources.Resource(kind.group, kind.versions[0], kind.plural, kind.kind)
        for kind in KINDS
        if kind.kind not in {resource.kind for resource in WATCHED}
    ]
    besides = (resources.NAMESPACES, resources.Resource("apps", "v1", "deployments", "Deployment"))
    for resource in (*WATCHED, *besides, *kinds):
        try:
            objects += await kube.list(resource)
        except NotFound:  # a definition that this cluster does not have
            continue
    return of_objects(objects, settings)


def with_cluster(kubeconfig: str | None, context: str | None, use: Callable[[Kube], Awaitable[Result]]) -> Result:
    """Run ``use`` with a connection. Raises `SourceError` when the cluster does not answer."""
    import asyncio

    async def run() -> Result:
        from mesh_reference.kube.client import Kube

        connected = await Kube.connect(Path(kubeconfig) if kubeconfig else None, context)
        try:
            async with connected as kube:
                return await use(kube)
        finally:
            # An upgraded TLS connection says goodbye after it was closed: without this the loop ends before it does.
            await asyncio.sleep(_GOODBYE_SECONDS)

    if kubeconfig and not Path(kubeconfig).is_file():
        raise SourceError(f"--kubeconfig {kubeconfig}: no such file")
    try:
        return asyncio.run(run())
    except ApiFailure as problem:
        raise SourceError(f"the cluster cannot be asked: {problem}") from problem
    except MeshError as problem:  # of a library that speaks in paragraphs
        raise SourceError(" ".join(str(problem).split())) from problem
