"""The CustomResourceDefinitions of the mesh, generated from `model.schema`.

It builds plain objects; printing and applying them is for the commands.
"""

from __future__ import annotations

from typing import Any

from mesh_reference.model.schema.kinds import KINDS
from mesh_reference.model.schema.openapi import STATUS_SCHEMA, schema_of
from mesh_reference.model.schema.types import Column, Kind

Json = dict[str, Any]

_AGE = Column(
    name="Age",
    path=".metadata.creationTimestamp",
    type="date",
    description="The time at which the object was created, by the API server's clock.",
)


def definitions() -> list[Json]:
    """One CustomResourceDefinition for each kind that the mesh serves."""
    return [definition(kind) for kind in KINDS]


def definition(kind: Kind) -> Json:
    """The kind as apiextensions.k8s.io/v1, each version with the same schema, the first one stored."""
    lower = kind.kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{kind.group}", "labels": {"app": "istio-pilot"}},
        "spec": {
            "group": kind.group,
            "names": {
                "categories": ["istio-io", kind.group.replace(".", "-").removesuffix("-istio-io") + "-istio-io"],
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                **({"shortNames": [kind.short_name]} if kind.short_name else {}),
                "singular": lower,
            },
            "scope": "Namespaced",
            "versions": [_version(kind, version, storage=index == 0) for index, version in enumerate(kind.versions)],
        },
    }


def _version(kind: Kind, version: str, *, storage: bool) -> Json:
    return {
        "name": version,
        "served": True,
        "storage": storage,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in (*kind.columns, _AGE)],
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "properties": {
                    "spec": {"description": kind.description, **schema_of(kind.spec)},
                    "status": STATUS_SCHEMA,
                },
            }
        },
    }


def _column(column: Column) -> Json:
    return {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
    }
