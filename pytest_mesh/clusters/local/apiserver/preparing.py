"""Turns a body into an object fit to store: types, defaults and rules of its kind or CRD. Pure but for CEL's cost.

It does not touch the store: what needs the cluster (namespaces, addresses) is ``writing``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import (
    builtins,
    cel,
    conversion,
    customdefinitions,
    defaults,
    errors,
    objects,
    rules,
    structural,
    validation,
)
from pytest_mesh.clusters.local.apiserver.decoding import Decoder

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

_META = {"$ref": builtins.OBJECT_META}


def check_identity(info: ResourceInfo, obj: Json, namespace: str, name: str) -> None:
    """Compare what a body says it is with its path, and fill in what it leaves open; raises StatusError 400."""
    kind, api_version = obj.get("kind"), obj.get("apiVersion")
    if (kind and kind != info.kind) or (api_version and api_version != info.api_version):
        if kind and kind != info.kind and not info.custom:
            raise errors.bad_request(
                f"{kind} in version {str(api_version or '').rpartition('/')[2]!r} cannot be handled as a {info.kind}: "
                f"no kind {kind!r} is registered for this path"
            )
        raise errors.bad_request(
            f"the API version in the data ({api_version or ''}, {kind or ''}) does not match the expected API version "
            f"({info.api_version}, {info.kind})"
        )
    if info.custom and not (kind and api_version):
        raise errors.bad_request(f"Object 'Kind' is missing in '{objects.shown(obj)[:200]}'")
    obj["kind"], obj["apiVersion"] = info.kind, info.api_version
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise errors.bad_request("metadata: an object is expected")
    given = metadata.get("namespace") or ""
    if info.namespaced:
        if given and given != namespace:
            raise errors.bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request"
                f" ({given} != {namespace})"
            )
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if name:
        if metadata.get("name") and metadata["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        metadata["name"] = name


def decode(info: ResourceInfo, obj: Json, *, with_defaults: bool = True) -> tuple[Json, list[str]]:
    """Give the object without what its schema does not name, and the paths of that; raises StatusError 400."""
    if not info.custom:
        decoder = Decoder(info.kind, info.version, defaults=with_defaults)
        return decoder.decode(obj, info.schema), decoder.unknown
    metadata = Decoder("ObjectMeta", "v1", defaults=with_defaults)
    decoded_metadata = metadata.decode(obj.get("metadata") or {}, _META)
    pruned, dropped = structural.prune({**obj, "metadata": {}}, info.schema)
    pruned["metadata"] = decoded_metadata
    if with_defaults:
        structural.default(pruned, info.schema)
    return pruned, [f"metadata.{path}" for path in metadata.unknown] + dropped


def unknown_fields(info: ResourceInfo, paths: list[str], strictness: str) -> list[str]:
    """Give the warnings about unknown fields; raises StatusError 400 if they are to be refused."""
    if not paths or strictness == "Ignore":
        return []
    texts = [f'unknown field "{path}"' for path in paths]
    if strictness == "Strict":
        why = "strict decoding error: " + ", ".join(texts)
        if info.custom:
            raise errors.bad_request(why)
        raise errors.bad_request(f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: {why}')
    return texts


def fill_in(info: ResourceInfo, obj: Json) -> None:
    """Apply the defaults of a built-in kind, in place."""
    if not info.custom:
        defaults.apply(info.key, conversion.stored(obj, info) if info.group == conversion.EVENTS else obj)


def check(info: ResourceInfo, obj: Json, old: Json | None) -> list[str]:
    """Raise StatusError 422 naming every fault of an object; gives warnings about rules that could not be judged."""
    warnings: list[str] = []
    causes: list[Cause] = list(rules.check_metadata(info, obj))
    if info.custom:
        found = validation.validate({**obj, "metadata": {}}, info.schema)
        causes += found
        if not found:
            causes += cel.check(info, obj, old, warnings)
    else:
        causes += rules.check(info, obj, old)
        if info.kind == "CustomResourceDefinition":
            causes += customdefinitions.check(obj, old)
    if causes:
        raise errors.invalid(info.kind, info.group, obj["metadata"].get("name", ""), causes)
    return warnings
