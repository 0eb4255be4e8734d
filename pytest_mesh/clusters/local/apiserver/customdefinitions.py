"""CustomResourceDefinitions: their rules, their status, and the resources that they make the registry serve.

Instances are judged by ``structural``, ``validation`` and ``cel``; conversion between
versions is strategy None only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import builtins, objects
from pytest_mesh.clusters.local.apiserver.errors import Cause
from pytest_mesh.clusters.local.apiserver.registry import ALL_VERBS, ResourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.registry import Registry
    from pytest_mesh.contracts import Json

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def priority(version: str) -> tuple[int, int, int, str]:
    """Give the key by which versions are ordered, best first: v2, v1, v1beta2, v1beta1, v1alpha1, then by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)


def check(crd: Json, old: Json | None) -> Iterator[Cause]:
    """Give the faults of a definition."""
    spec = crd.get("spec") or {}
    names, group, name = spec.get("names") or {}, spec.get("group", ""), crd["metadata"]["name"]
    for field, value in (
        ("spec.group", group),
        ("spec.names.plural", names.get("plural")),
        ("spec.names.kind", names.get("kind")),
    ):
        if not value:
            yield Cause(field=field, message="Required value", reason="FieldValueRequired")
    wanted = f"{names.get('plural')}.{group}"
    if name != wanted:
        yield Cause(field="metadata.name", message=f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group')
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        yield Cause(
            field="spec.scope",
            message=f'Unsupported value: "{spec.get("scope", "")}": supported values: "Cluster", "Namespaced"',
            reason="FieldValueNotSupported",
        )
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        yield Cause(
            field="spec.versions",
            message=f"Invalid value: {objects.shown([v.get('name') for v in versions])}: must have exactly one version "
            "marked as storage version",
        )
    if (spec.get("conversion") or {}).get("strategy", "None") != "None":
        yield Cause(
            field="spec.conversion.strategy",
            message='Unsupported value: "Webhook": the embedded cluster converts by strategy "None" only',
            reason="FieldValueNotSupported",
        )
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}].schema.openAPIV3Schema"
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if not isinstance(schema, dict):
            yield Cause(field=at, message="Required value: schemas are required", reason="FieldValueRequired")
            continue
        if schema.get("type") != "object":
            yield Cause(
                field=f"{at}.type", message=f'Invalid value: "{schema.get("type", "")}": must be object at the root'
            )
        yield from _structural(schema, at)
    if old is not None:
        for field in ("group", "scope"):
            if spec.get(field) != old["spec"].get(field):
                yield Cause(field=f"spec.{field}", message=f'Invalid value: "{spec.get(field)}": field is immutable')
        for field in ("plural", "kind"):
            if names.get(field) != old["spec"]["names"].get(field):
                yield Cause(
                    field=f"spec.names.{field}", message=f'Invalid value: "{names.get(field)}": field is immutable'
                )


def _structural(schema: Json, path: str) -> Iterator[Cause]:
    """Give where a schema is not structural: a field without a type."""
    children: list[tuple[str, Any]] = [
        (f"{path}.properties[{name}]", inner) for name, inner in (schema.get("properties") or {}).items()
    ]
    children += [
        (f"{path}.{keyword}", schema[keyword])
        for keyword in ("items", "additionalProperties")
        if isinstance(schema.get(keyword), dict)
    ]
    if isinstance(schema.get("items"), list):
        yield Cause(field=f"{path}.items", message="Forbidden: items must be a schema object and not an array")
    for at, inner in children:
        free = inner.get("x-kubernetes-int-or-string") or inner.get("x-kubernetes-preserve-unknown-fields")
        if not inner.get("type") and not free:
            yield Cause(
                field=f"{at}.type",
                message="Required value: must not be empty for specified object fields",
                reason="FieldValueRequired",
            )
        yield from _structural(inner, at)


def establish(registry: Registry, crd: Json) -> None:
    """Serve what a definition says from here on, and write so into its status, in place."""
    spec, status = crd["spec"], crd.setdefault("status", {})
    status["acceptedNames"] = spec["names"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    stored = status.setdefault("storedVersions", [])
    if storage not in stored:
        stored.append(storage)
    conditions = status.setdefault("conditions", [])
    for kind, reason, message in (
        ("NamesAccepted", "NoConflicts", "no conflicts found"),
        ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ):
        if not any(condition["type"] == kind for condition in conditions):
            conditions.append(
                {
                    "type": kind,
                    "status": "True",
                    "lastTransitionTime": objects.timestamp(),
                    "reason": reason,
                    "message": message,
                }
            )
    registry.replace_custom(spec["names"]["plural"], spec["group"], resources(crd))


def resources(crd: Json) -> list[ResourceInfo]:
    """Give the served versions of a definition, the preferred one first."""
    spec = crd["spec"]
    names = spec["names"]
    served = [version for version in spec["versions"] if version.get("served")]
    found = []
    for version in sorted(served, key=lambda version: priority(version["name"])):
        subresources = version.get("subresources") or {}
        found.append(
            ResourceInfo(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                list_kind=names.get("listKind") or f"{names['kind']}List",
                singular=names.get("singular", ""),
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames", ())),
                categories=tuple(names.get("categories", ())),
                verbs=ALL_VERBS,
                subresources=frozenset(subresources),
                custom=True,
                schema=_with_type_meta(version["schema"]["openAPIV3Schema"]),
                columns=tuple(version.get("additionalPrinterColumns", ())),
                scale=subresources.get("scale") or {},
                selectable_fields=tuple(field["jsonPath"].lstrip(".") for field in version.get("selectableFields", ())),
            )
        )
    return found


def _with_type_meta(schema: Json) -> Json:
    """Give a version's schema with the fields that every object has."""
    own = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": builtins.OBJECT_META},
    }
    return {**schema, "properties": {**(schema.get("properties") or {}), **own}}
