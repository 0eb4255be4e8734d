"""CustomResourceDefinitions: their status, and the resources that they make the registry serve.

Their rules are ``rules.definitions``'. Instances are judged by ``structural``, ``validation`` and ``cel``; conversion between
versions is strategy None only.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiserver import builtins, objects
from pytest_mesh.clusters.local.apiserver.registry import ResourceInfo

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiserver.registry import Registry
    from pytest_mesh.contracts import Json

VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""What can be done with a custom resource, in the order of discovery."""

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def priority(version: str) -> tuple[int, int, int, str]:
    """Give the key by which versions are ordered, best first: v2, v1, v1beta2, v1beta1, v1alpha1, then by name."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return (3, 0, 0, version)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0), version)


def begin(crd: Json) -> None:
    """Give a new definition the status it has before it is established, in place."""
    stored = [version["name"] for version in crd["spec"].get("versions") or () if version.get("storage")]
    crd["status"] = {"conditions": None, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": stored}


def establish(registry: Registry, crd: Json) -> None:
    """Serve what a definition says from here on, and write so into its status, in place."""
    spec, status = crd["spec"], crd.setdefault("status", {})
    status["acceptedNames"] = spec["names"]
    storage = next(version["name"] for version in spec["versions"] if version.get("storage"))
    stored = status["storedVersions"] = list(status.get("storedVersions") or ())
    if storage not in stored:
        stored.append(storage)
    conditions = status["conditions"] = list(status.get("conditions") or ())
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
                verbs=VERBS,
                subresources=frozenset(subresources),
                custom=True,
                stored=bool(version.get("storage")),
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
