"""Turns a body into an object fit to store: types, defaults and rules of its kind or CRD. Pure but for CEL's cost.

It does not touch the store: what needs the cluster (namespaces, addresses) is ``writing``'s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import (
    builtins,
    cel,
    conversion,
    defaults,
    errors,
    jsontext,
    structural,
    validation,
)
from pytest_mesh.clusters.local.apiserver.decoding import Decoder
from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.rules import kinds
from pytest_mesh.clusters.local.apiserver.rules import metadata as metadata_rules

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo
    from pytest_mesh.contracts import Json

BLOCKING = (
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
)
"""Faults with which CEL's rules are not asked at all."""

UNCHECKED = Cause(
    field="<nil>",
    message="Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation",
)

_META = {"$ref": builtins.OBJECT_META}


def check_identity(info: ResourceInfo, obj: Json, namespace: str, name: str) -> None:
    """Compare what a body says it is with its path, and fill in what it leaves open; raises StatusError 400."""
    kind, api_version = obj.get("kind"), obj.get("apiVersion")
    if (kind and kind != info.kind) or (api_version and api_version != info.api_version):
        given, version = kind or info.kind, str(api_version or info.api_version)
        if not info.custom:
            shown = version if version != info.api_version and "/" not in version else info.version
            raise errors.bad_request(
                f'{given} in version "{shown}" cannot be handled as a {info.kind}: no kind "{given}" is registered for '
                f'version "{version}" in scheme "pkg/runtime/scheme.go:110"'
            )
        if version == info.api_version:
            cause = Cause(field="kind", message=f'Invalid value: "{given}": must be {info.kind}')
            raise errors.invalid(given, info.group, (obj.get("metadata") or {}).get("name", ""), [cause])
        raise errors.bad_request(
            f"the API version in the data ({version}) does not match the expected API version ({info.api_version})"
        )
    if info.custom and not (kind and api_version):
        body = json.dumps(obj).encode()
        missing = "Kind" if not kind else "apiVersion"
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {info.kind}): Object '{missing}' is missing in "
            f"'{body.decode()}' ({jsontext.excerpt(body)})"
        )
    obj["kind"], obj["apiVersion"] = info.kind, info.api_version
    metadata = obj.get("metadata")
    if metadata is None:
        metadata = obj["metadata"] = {}
    if not isinstance(metadata, dict):
        raise errors.bad_request(
            f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: json: cannot unmarshal '
            f"{jsontext.kind_of(metadata)} into Go struct field {info.kind}.metadata of type v1.ObjectMeta"
        )
    given = metadata.get("namespace") or ""
    if info.namespaced:
        if given and given != namespace:
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)
    if name:
        if not metadata.get("name"):
            why = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
            raise errors.bad_request(why)
        if metadata["name"] != name:
            raise errors.bad_request(
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
        metadata["name"] = name


def decode(info: ResourceInfo, obj: Json, *, with_defaults: bool = True) -> tuple[Json, list[str]]:
    """Give the object without what its schema does not name, and the paths of that; raises StatusError 400."""
    if not info.custom:
        decoder = Decoder(info.kind, info.version, defaults=with_defaults)
        return decoder.decode(obj, info.schema), decoder.unknown
    metadata = Decoder(info.kind, info.version, defaults=with_defaults)
    decoded_metadata = metadata.decode(obj.get("metadata") or {}, _META)
    pruned, dropped = structural.prune({**obj, "metadata": {}}, info.schema)
    pruned["metadata"] = decoded_metadata
    if with_defaults:
        structural.default(pruned, info.schema)
    return pruned, sorted([f"metadata.{path}" for path in metadata.unknown] + dropped)


def unknown_fields(info: ResourceInfo, paths: list[str], strictness: str) -> list[str]:
    """Give the warnings about unknown fields; raises StatusError 400 if they are to be refused."""
    if not paths or strictness == "Ignore":
        return []
    texts = [f'unknown field "{path}"' for path in paths]
    if strictness == "Strict":
        why = "strict decoding error: " + ", ".join(texts)
        raise errors.bad_request(f'{info.kind} in version "{info.version}" cannot be handled as a {info.kind}: {why}')
    return texts


def fill_in(info: ResourceInfo, obj: Json) -> None:
    """Apply the defaults of a built-in kind, in place."""
    if not info.custom:
        defaults.apply(info.key, conversion.stored(obj, info) if info.group == conversion.EVENTS else obj)


def check(info: ResourceInfo, obj: Json, old: Json | None) -> list[str]:
    """Raise StatusError 422 naming every fault of an object; gives warnings about rules that could not be judged."""
    warnings: list[str] = []
    causes: list[Cause] = list(metadata_rules.check(info, obj))
    if info.custom:
        found = validation.validate({**obj, "metadata": {}}, info.schema)
        causes += found
        if not any(cause.reason in BLOCKING for cause in found):
            causes += cel.check(info, obj, old, warnings)
        elif cel.has_rules(info.schema):
            causes.append(UNCHECKED)
    else:
        causes += kinds.check(info, obj, old)
    if causes:
        raise errors.invalid(info.kind, info.group, obj["metadata"].get("name", ""), causes)
    return warnings
