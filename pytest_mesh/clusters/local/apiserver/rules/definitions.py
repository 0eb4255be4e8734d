"""The rules of CustomResourceDefinitions. Their schemas are ``schemas``'. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import objects
from pytest_mesh.clusters.local.apiserver.rules import schemas
from pytest_mesh.clusters.local.apiserver.rules.faults import IMMUTABLE, forbidden, named, required, unsupported, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.errors import Cause
    from pytest_mesh.contracts import Json

APPROVAL = "api-approved.kubernetes.io"
PROTECTED = (".k8s.io", ".kubernetes.io")
COLUMNS = ("boolean", "date", "integer", "number", "string")
_PATH = re.compile(r"(\.[A-Za-z_][A-Za-z0-9_-]*)+")


def check(crd: Json, old: Json | None) -> Iterator[Cause]:
    """Check a CustomResourceDefinition."""
    spec = crd.get("spec") or {}
    names, group, name = spec.get("names") or {}, spec.get("group", ""), crd["metadata"]["name"]
    versions = spec.get("versions") or []
    if old is None and name != f"{names.get('plural', '')}.{group}":
        yield wrong("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    if not group:
        yield required("spec.group")
    else:
        faults = [*named("spec.group", group, "subdomain")]
        yield from faults
        if not faults and "." not in group:
            yield wrong("spec.group", group, "should be a domain with at least one dot")
    scope = spec.get("scope", "")
    if scope not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", scope, ("Cluster", "Namespaced")) if scope else required("spec.scope")
    if spec.get("preserveUnknownFields"):
        text = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield wrong("spec.preserveUnknownFields", True, text)
    yield from _versions(versions)
    yield from _names(names)
    yield from _conversion(spec.get("conversion") or {})
    if old is None and f".{group}".endswith(PROTECTED) and not (crd["metadata"].get("annotations") or {}).get(APPROVAL):
        text = f'protected groups must have approval annotation "{APPROVAL}", see '
        yield required(
            f"metadata.annotations[{APPROVAL}]", text + "https://github.com/kubernetes/enhancements/pull/1111"
        )
    yield from _stored(versions)
    if old is not None:
        before = old["spec"]
        if group != before.get("group"):
            yield wrong("spec.group", group, IMMUTABLE)
        if scope != before.get("scope"):
            yield wrong("spec.scope", scope, IMMUTABLE)
        for field in ("plural", "kind"):
            if names.get(field) != before["names"].get(field):
                yield wrong(f"spec.names.{field}", names.get(field), IMMUTABLE)


def _versions(versions: list[Json]) -> Iterator[Cause]:
    shown = None if not versions else [_go(version) for version in versions]
    named_twice = len({version.get("name") for version in versions}) != len(versions)
    stored = [version.get("name") for version in versions if version.get("storage")]
    if named_twice:
        yield wrong("spec.versions", shown, "must contain unique version names")
    if len(stored) != 1:
        yield wrong("spec.versions", shown, "must have exactly one version marked as storage version")
    one = len(versions) == 1
    for index, version in enumerate(versions):
        at = f"spec.versions[{index}]"
        yield from named(f"{at}.name", version.get("name", ""), "label1035")
        if index == 0:
            yield from named("spec.version", version.get("name", ""), "label1035")
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        # With one version, Kubernetes names the fields as it keeps them: outside the version.
        place = "spec.validation.openAPIV3Schema" if one else f"{at}.schema.openAPIV3Schema"
        if not isinstance(schema, dict):
            yield required(f"{at}.schema.openAPIV3Schema")
            continue
        if schema.get("type") != "object":
            yield wrong(f"{place}.type", schema.get("type", ""), "must be object at the root")
        yield from schemas.check(schema, place)
        outside = "spec" if one else at
        yield from _columns(version.get("additionalPrinterColumns") or [], f"{outside}.additionalPrinterColumns")
        yield from _scale((version.get("subresources") or {}).get("scale"), f"{outside}.subresources.scale")
        yield from _selectable(version.get("selectableFields") or [], schema, f"{outside}.selectableFields")


def _stored(versions: list[Json]) -> Iterator[Cause]:
    stored = [version.get("name") for version in versions if version.get("storage")]
    if len(stored) == 0:
        yield wrong("status.storedVersions", None, "must have at least one stored version")
    elif len(stored) > 1:
        yield wrong("status.storedVersions", stored[:1], f"must have the storage version {stored[-1]}")


def _go(version: Json) -> Json:
    """Give a version as a message of Kubernetes shows it."""
    return {
        "Name": version.get("name", ""), "Served": bool(version.get("served")), "Storage": bool(version.get("storage")),
        "Deprecated": bool(version.get("deprecated")), "DeprecationWarning": version.get("deprecationWarning"), "Schema": None,
        "Subresources": None, "AdditionalPrinterColumns": None, "SelectableFields": None,
    }  # fmt: skip


def _names(names: Json) -> Iterator[Cause]:
    for field in ("plural", "singular", "kind", "listKind"):
        value, at = names.get(field, ""), f"spec.names.{field}"
        if not value:
            yield required(at)
            continue
        mixed = field in ("kind", "listKind")
        fault = objects.name_fault(value.lower() if mixed else value, "label1035")
        if fault is not None:
            yield wrong(at, value, f"may have mixed case, but should otherwise match: {fault}" if mixed else fault)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            yield from named(f"spec.names.{field}[{index}]", value, "label1035")


def _conversion(conversion: Json) -> Iterator[Cause]:
    strategy = conversion.get("strategy", "None")
    if strategy == "Webhook":
        hook = conversion.get("webhook") or {}
        if not hook.get("clientConfig"):
            yield required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
        if not hook.get("conversionReviewVersions"):
            yield required("spec.conversion.conversionReviewVersions")
        if hook.get("clientConfig") and hook.get("conversionReviewVersions"):
            yield forbidden("spec.conversion.strategy", 'the embedded cluster converts by strategy "None" only')
    elif strategy != "None":
        yield unsupported("spec.conversion.strategy", strategy, ("None", "Webhook"))


def _columns(columns: list[Json], at: str) -> Iterator[Cause]:
    for index, column in enumerate(columns):
        place, kind, path = f"{at}[{index}]", column.get("type", ""), column.get("jsonPath", "")
        if not column.get("name"):
            yield required(f"{place}.name")
        if not kind:
            yield required(f"{place}.type", f"must be one of {','.join(COLUMNS)}")
        elif kind not in COLUMNS:
            yield wrong(f"{place}.type", kind, f"must be one of {','.join(COLUMNS)}")
        if not path:
            yield required(f"{place}.JSONPath")
        elif not path.startswith("."):
            yield wrong(f"{place}.JSONPath", path, "must be a simple json path starting with .")


def _scale(scale: Json | None, at: str) -> Iterator[Cause]:
    if scale is None:
        return
    for field, root in (("specReplicasPath", ".spec"), ("statusReplicasPath", ".status")):
        path = scale.get(field, "")
        if not path:
            yield required(f"{at}.{field}")
        elif not _PATH.fullmatch(path) or not path.startswith(f"{root}."):
            yield wrong(f"{at}.{field}", path, f"should be a json path under {root}")
    path = scale.get("labelSelectorPath")
    if path and not path.startswith((".spec.", ".status.")):
        yield wrong(f"{at}.labelSelectorPath", path, "should be a json path under either .status or .spec")


def _selectable(fields: list[Json], schema: Json, at: str) -> Iterator[Cause]:
    for index, field in enumerate(fields):
        path, inner = field.get("jsonPath", ""), schema
        for step in path.strip(".").split("."):
            inner = (inner.get("properties") or {}).get(step) or {}
        if not inner:
            yield wrong(f"{at}[{index}].jsonPath", path, "is an invalid path: does not refer to a valid field")
