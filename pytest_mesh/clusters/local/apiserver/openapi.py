"""``/openapi/v3``: an index and one document for each group version, from the schemas in use. Pure over the registry.

The documents hold what ``kubectl apply`` needs: kinds, schemas and the ``fieldValidation`` parameter.
Descriptions and enums, which ``kubectl explain`` shows, are added here: nothing else reads them.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import builtins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.registry import Registry, ResourceInfo
    from pytest_mesh.contracts import Json

REF = "#/components/schemas/"
INFO = {"title": "Kubernetes", "version": "v1.34.4"}
_LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_ANY_OBJECT = "io.k8s.api.core.v1.ConfigMap"
"""A schema whose apiVersion, kind and metadata say what those of every object say."""
_QUERY = ("dryRun", "fieldManager", "fieldValidation")


def index(registry: Registry) -> Json:
    """Give the documents' addresses."""
    stamp = hashlib.sha256(str(registry.generation).encode()).hexdigest()[:32].upper()
    paths = {}
    for info in registry.all():
        path = f"apis/{info.group}/{info.version}" if info.group else f"api/{info.version}"
        paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={stamp}"}
    return {"paths": paths}


def document(registry: Registry, group: str, version: str) -> Json | None:
    """Give the document of a group version, or None if it is not served."""
    infos = [info for info in registry.all() if (info.group, info.version) == (group, version)]
    if not infos:
        return None
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for info in infos:
        name = _name(info)
        if info.custom:
            schemas[name] = _custom_schema(info, schemas)
        else:
            _collect(name, schemas)
        schemas[f"{name}List"] = _list_schema(info, name)
        schemas[_LIST_META] = {
            "type": "object",
            "description": "ListMeta describes metadata that synthetic resources must have, including lists.",
            "properties": {
                "continue": {"type": "string"},
                "remainingItemCount": {"type": "integer", "format": "int64"},
                "resourceVersion": {"type": "string"},
                "selfLink": {"type": "string"},
            },
        }
        paths.update(_paths(info, name))
    return {"openapi": "3.0.0", "info": INFO, "paths": paths, "components": {"schemas": schemas}}


def _name(info: ResourceInfo) -> str:
    if not info.custom:
        return str(info.schema["$ref"])
    return f"{'.'.join(reversed(info.group.split('.')))}.{info.version}.{info.kind}"


def _collect(name: str, schemas: dict[str, Any]) -> None:
    if name in schemas or name not in builtins.schemas():
        return
    schemas[name] = {}
    schemas[name] = _linked(builtins.described(name, builtins.schemas()[name]), schemas)


def _linked(value: Any, schemas: dict[str, Any]) -> Any:
    """Give a schema with references as OpenAPI writes them, and put what they name into ``schemas``."""
    if isinstance(value, list):
        return [_linked(inner, schemas) for inner in value]
    if not isinstance(value, dict):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str):
        _collect(reference, schemas)
        rest = {key: inner for key, inner in value.items() if key != "$ref"}
        link = {"$ref": REF + reference}
        return {"allOf": [link], **rest} if rest else link
    return {key: _linked(inner, schemas) for key, inner in value.items()}


def _kind(info: ResourceInfo, suffix: str = "") -> list[Json]:
    return [{"group": info.group, "version": info.version, "kind": f"{info.kind}{suffix}"}]


def _custom_schema(info: ResourceInfo, schemas: dict[str, Any]) -> Json:
    schema: Json = _linked(dict(info.schema), schemas)
    schema["x-kubernetes-group-version-kind"] = _kind(info)
    told = builtins.described(_ANY_OBJECT, builtins.schemas()[_ANY_OBJECT])["properties"]
    for field in ("apiVersion", "kind", "metadata"):
        link = schema["properties"][field]
        link = {"allOf": [link]} if "$ref" in link else link
        schema["properties"][field] = {"description": told[field]["description"], **link}
    return schema


def _list_schema(info: ResourceInfo, name: str) -> Json:
    return {
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": REF + _LIST_META},
            "items": {"type": "array", "items": {"$ref": REF + name}},
        },
        "x-kubernetes-group-version-kind": [{**_kind(info)[0], "kind": info.list_kind or f"{info.kind}List"}],
    }


def _paths(info: ResourceInfo, name: str) -> Iterator[tuple[str, Json]]:
    root = f"/apis/{info.group}/{info.version}" if info.group else f"/api/{info.version}"
    base = f"{root}/namespaces/{{namespace}}/{info.plural}" if info.namespaced else f"{root}/{info.plural}"
    kind = _kind(info)[0]
    parameters = [{"name": q, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for q in _QUERY]
    ok = {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": REF + name}}}}}

    def operation(action: str, *, writes: bool, patch: bool = False) -> Json:
        found: Json = {"responses": ok, "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind}
        if writes:
            found["parameters"] = parameters
            types = (
                "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
                *(() if info.custom else ("application/strategic-merge-patch+json",)),
            ) if patch else ("application/json",)  # fmt: skip
            schema = {"type": "object"} if patch else {"$ref": REF + name}
            found["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in types}}
        return found

    collection: Json = {}
    if "list" in info.verbs:
        collection["get"] = operation("list", writes=False)
    if "create" in info.verbs:
        collection["post"] = operation("post", writes=True)
    yield base, collection
    if "get" in info.verbs:
        yield (
            f"{base}/{{name}}",
            {
                "get": operation("get", writes=False),
                "put": operation("put", writes=True),
                "patch": operation("patch", writes=True, patch=True),
                "delete": operation("delete", writes=False),
            },
        )
