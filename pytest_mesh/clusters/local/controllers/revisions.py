"""The history of a StatefulSet's or DaemonSet's template, as ControllerRevisions.

``kubectl rollout status``, ``history`` and ``undo`` read it. The functions are
pure; :class:`History` writes. It decides nothing about Pods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiClient, ApiError
from pytest_mesh.clusters.local.controllers.deployment_plan import template_hash
from pytest_mesh.clusters.local.controllers.objects import owner_reference
from pytest_mesh.clusters.local.controllers.owned_pods import controls

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_mesh.clusters.local.controllers.cache import Informer
    from pytest_mesh.contracts import Json

HASH_LABEL = "controller-revision-hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """What a rollout goes between."""

    current: Json
    """The revision that the status names, else the newest."""
    update: Json
    """The revision of the object's template as it is."""
    all: tuple[Json, ...]
    """Oldest first."""
    collisions: int = 0


def data_of(owner: Json) -> Json:
    """Give what a revision keeps: a strategic merge patch that restores the template."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def template_of(revision: Json) -> Json:
    """Give the template that a revision keeps."""
    return {name: value for name, value in revision["data"]["spec"]["template"].items() if name != "$patch"}


def hash_of(revision: Json) -> str:
    """Give the hash by which Pods name the revision."""
    return str(revision["metadata"]["labels"][HASH_LABEL])


def new_revision(owner: Json, number: int, collisions: int) -> Json:
    """Give the ControllerRevision of the owner's present template."""
    metadata = owner["metadata"]
    template = owner["spec"]["template"]
    digest = template_hash(template, collisions)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{metadata['name']}-{digest}",
            "namespace": metadata["namespace"],
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest},
            "annotations": dict(metadata.get("annotations") or {}),
            "ownerReferences": [owner_reference(owner)],
        },
        "data": data_of(owner),
        "revision": number,
    }


def ordered(revisions: Sequence[Json]) -> list[Json]:
    """Give revisions oldest first."""
    return sorted(revisions, key=lambda item: (item["revision"], item["metadata"]["name"]))


def forgotten(revisions: Sequence[Json], live: Collection[str], limit: int) -> tuple[str, ...]:
    """Give the names of the oldest revisions beyond ``limit`` that are not ``live`` (names)."""
    idle = [item["metadata"]["name"] for item in ordered(revisions) if item["metadata"]["name"] not in live]
    return tuple(idle[: max(0, len(idle) - limit)])


class History:
    """Keeps the revisions of every owner of one kind."""

    def __init__(self, client: ApiClient, revisions: Informer) -> None:
        self._client = client
        self._revisions = revisions

    async def of(self, owner: Json) -> Revisions:
        """Give the owner's revisions, after making or renumbering that of its present template."""
        namespace = owner["metadata"]["namespace"]
        collection = f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions"
        known = ordered([item for item in self._revisions.within(namespace) if controls(owner, item)])
        collisions = int((owner.get("status") or {}).get("collisionCount") or 0)
        wanted = data_of(owner)
        same = [item for item in known if item["data"] == wanted]
        number = known[-1]["revision"] + 1 if known else 1
        if not same:
            update, collisions = await self._create(collection, owner, number, collisions)
        elif same[-1] is known[-1]:
            update = same[-1]
        else:  # a roll back: the old revision is the newest again
            path = f"{collection}/{same[-1]['metadata']['name']}"
            # Not by a patch: a real server takes what a patch makes of ``data`` for something else.
            update = await self._client.replace(path, {**same[-1], "revision": number})
            self._revisions.absorb(update)
        name = (owner.get("status") or {}).get("currentRevision")
        current = next((item for item in known if item["metadata"]["name"] == name), update)
        rest = [item for item in known if item["metadata"]["name"] != update["metadata"]["name"]]
        return Revisions(current=current, update=update, all=(*rest, update), collisions=collisions)

    async def forget(self, owner: Json, found: Revisions, live: Collection[str]) -> None:
        """Delete what is beyond the owner's revisionHistoryLimit and not ``live``."""
        limit = owner["spec"].get("revisionHistoryLimit", 10)
        namespace = owner["metadata"]["namespace"]
        for name in forgotten(found.all, live, limit):
            try:
                await self._client.delete(f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions/{name}")
            except ApiError as error:
                if error.status != 404:
                    raise

    async def _create(self, collection: str, owner: Json, number: int, collisions: int) -> tuple[Json, int]:
        while True:
            body = new_revision(owner, number, collisions)
            try:
                made = await self._client.create(collection, body)
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
                held = await self._client.get(f"{collection}/{body['metadata']['name']}")
                if not controls(owner, held) or held["data"] != body["data"]:
                    collisions += 1
                    continue
                made = held
            self._revisions.absorb(made)
            return made, collisions
