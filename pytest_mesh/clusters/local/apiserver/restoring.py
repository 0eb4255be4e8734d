"""Snapshots that the cluster's owner took, and the way back to one: ordinary events for every watch, at new resource versions.

What goes and has a finalizer of somebody's is marked first and given time; what is still held then is taken out all the
same, and named. Webhooks are not asked. What is to be done ``snapshots`` decides.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from pytest_mesh.clusters.local.apiserver import customdefinitions, deleting, lifecycle, objects, snapshots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_mesh.clusters.local.apiserver.server import Server
    from pytest_mesh.clusters.local.apiserver.snapshots import Picture, Place, Plan
    from pytest_mesh.clusters.local.apiserver.store import Item
    from pytest_mesh.contracts import Json

LOOK: Final = 0.02
"""Seconds between looks at what others have to let go."""
_OURS: Final = {lifecycle.CRD_FINALIZER, deleting.FOREGROUND, deleting.ORPHAN}


class Snapshots:
    """The snapshots of one server, by id."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._kept: dict[str, dict[str, dict[tuple[str, str], Item]]] = {}
        self._taken = 0
        self._turn = asyncio.Lock()

    def take(self) -> Json:
        """Keep what there is; gives ``id`` and ``objects``, how many that are."""
        self._taken += 1
        name = f"snapshot-{self._taken}"
        kept = self._kept[name] = snapshots.picture(self._server.store)
        return {"id": name, "objects": sum(map(len, kept.values()))}

    def forget(self, name: str) -> None:
        """Drop a snapshot; one that is not there is no error."""
        self._kept.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    async def restore(self, name: str, seconds: float) -> Json:
        """Go back to a snapshot, which stays; ``seconds`` is the time for others' finalizers.
        Raises KeyError.

        Gives ``made``, ``changed`` and ``removed`` (counts; a replaced object is in two), ``forced`` (what a
        finalizer still held, by resource and name) and ``seconds``.
        """
        kept = self._kept[name]
        async with self._turn:
            began = time.monotonic()
            done = await self._let_go(kept, began + seconds)
            forced = [_shown(place) for place in _held(self._server, done)]
            _carry_out(self._server, done)
            self._adopt(kept, done)
            return {
                "made": len(done.made),
                "changed": len(done.changed),
                "removed": len(done.removed),
                "forced": forced,
                "seconds": time.monotonic() - began,
            }

    def _adopt(self, kept: Picture, done: Plan) -> None:
        """Have every snapshot that holds an object which was put back hold the one that stands for it, with its uid."""
        for key, obj in (*done.made, *((key, new) for key, new, _ in done.changed)):
            place = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
            old, stored = kept.get(key, {}).get(place), self._server.store.item(key, *place)
            for picture in self._kept.values() if old is not None and stored is not None else ():
                if picture.get(key, {}).get(place) is old and stored is not None:
                    picture[key][place] = stored

    def _plan(self, kept: Picture) -> Plan:
        return snapshots.plan(kept, snapshots.picture(self._server.store))

    async def _let_go(self, kept: Picture, deadline: float) -> Plan:
        """Mark what somebody's finalizer holds, and wait for it, and for namespaces on their way out that are to stay."""
        while True:
            done = self._plan(kept)
            held = list(_held(self._server, done))
            if not (held or self._ending(kept)) or time.monotonic() > deadline:
                return done
            for place in held:
                _mark(self._server, place)
            await asyncio.sleep(LOOK)

    def _ending(self, kept: Picture) -> bool:
        """Say whether a namespace is being emptied that is to hold things again: its controller must be through."""
        found = (self._server.store.get("namespaces", "", name) for _, name in kept.get("namespaces", {}))
        return any(one is not None and one["metadata"].get("deletionTimestamp") for one in found)


def _held(server: Server, done: Plan) -> Iterator[Place]:
    """Give what is to go and has a finalizer that only its own controller may take away."""
    for place in done.removed:
        obj = server.store.get(*place)
        if obj is not None and set(obj["metadata"].get("finalizers") or ()) - _OURS:
            yield place


def _mark(server: Server, place: Place) -> None:
    obj, infos = server.store.get(*place), server.registry.versions_of(place[0])
    if obj is not None and infos and not obj["metadata"].get("deletionTimestamp"):
        server.store.put(place[0], deleting.marked(infos[0], obj, {}))


def _shown(place: Place) -> str:
    key, namespace, name = place
    return f"{key} {namespace}/{name}" if namespace else f"{key} {name}"


def _carry_out(server: Server, done: Plan) -> None:
    """Do it, in one go: between two lines of it nobody else's request is served."""
    for key, namespace, name in done.removed:
        item = server.store.remove(key, namespace, name)
        if key == deleting.CRDS and item is not None:
            spec = item.obj["spec"]
            server.registry.replace_custom(spec["names"]["plural"], spec["group"], ())
    for key, obj in done.made:
        server.store.put(key, _established(server, key, obj))
    for key, new, old in done.changed:
        obj = _established(server, key, new)
        infos = server.registry.versions_of(key)
        if infos:
            info = next((one for one in infos if one.api_version == obj["apiVersion"]), infos[0])
            lifecycle.count_generation(info, old, obj)
        server.store.put(key, obj)


def _established(server: Server, key: str, obj: Json) -> Json:
    """Give an object, a definition after having its kind served."""
    if key != deleting.CRDS:
        return obj
    copied = objects.copy(obj)
    customdefinitions.establish(server.registry, copied)
    return copied
