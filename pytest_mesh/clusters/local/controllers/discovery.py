"""Which resources the API server serves, read from its discovery documents.

Gives each resource once, in its group's preferred version. Does not watch: ask again when a CRD changed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.contracts import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResource:
    """One resource: how it is named and what may be done with it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    def collection(self, namespace: str = "") -> str:
        """Give the collection's path; all namespaces together when none is named."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def path(self, namespace: str, name: str) -> str:
        """Give one object's path."""
        return f"{self.collection(namespace if self.namespaced else '')}/{name}"


async def discover(client: ApiClient) -> tuple[ApiResource, ...]:
    """Read discovery; a group that cannot be read at this moment is an ApiError."""
    groups = (await client.get("/apis"))["groups"]
    versions = [("", "v1", True)]
    for group in groups:
        preferred = group["preferredVersion"]["version"]
        versions += [
            (group["name"], entry["version"], entry["version"] == preferred) for entry in group.get("versions") or ()
        ]
    # The preferred version of a group comes first, so that it wins in `distinct`.
    versions.sort(key=lambda entry: not entry[2])
    lists = await asyncio.gather(*(_resources(client, group, version) for group, version, _ in versions))
    return distinct(resource for found in lists for resource in found)


def distinct(resources: Iterable[ApiResource]) -> tuple[ApiResource, ...]:
    """Keep the first of each (group, plural)."""
    seen: dict[tuple[str, str], ApiResource] = {}
    for resource in resources:
        seen.setdefault((resource.group, resource.plural), resource)
    return tuple(seen.values())


async def _resources(client: ApiClient, group: str, version: str) -> list[ApiResource]:
    try:
        document = await client.get(f"/apis/{group}/{version}" if group else f"/api/{version}")
    except ApiError as error:
        if error.status == 404:  # its last CRD went between the two questions
            return []
        raise
    return [_resource(group, version, entry) for entry in document["resources"] if "/" not in entry["name"]]


def _resource(group: str, version: str, entry: Json) -> ApiResource:
    return ApiResource(
        group=group,
        version=version,
        plural=entry["name"],
        kind=entry["kind"],
        namespaced=entry["namespaced"],
        verbs=frozenset(entry.get("verbs") or ()),
    )
