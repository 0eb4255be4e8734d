"""Events about Pods and the objects that make them, sent in the background; a repeated one raises the count of the first.

Losing an event harms nothing: what the API refuses is logged and dropped.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from typing import TYPE_CHECKING, Final, Literal

from pytest_mesh.clusters.local.apiclient import ApiError

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)

_REMEMBERED: Final = 2000


class EventRecorder:
    """Queues events; :meth:`run` sends them in order."""

    def __init__(self, client: ApiClient, host: str = "") -> None:
        self._client = client
        self._host = host
        """The node that the events come from; empty for the cluster's controllers."""
        self._queue: asyncio.Queue[Json] = asyncio.Queue()
        self._sent: dict[tuple[str, ...], tuple[str, int]] = {}

    def record(
        self,
        about: Json,
        kind: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        *,
        container: str = "",
        init: bool = False,
        component: str = "kubelet",
    ) -> None:
        """Note something that happened to an object (a Pod, unless it says its kind), or to one of a Pod's containers."""
        metadata = about["metadata"]
        subject = {
            "kind": about.get("kind") or "Pod",
            "apiVersion": about.get("apiVersion") or "v1",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        }
        if container:
            subject["fieldPath"] = f"spec.{'initContainers' if init else 'containers'}{{{container}}}"
        stamp = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._queue.put_nowait(
            {
                "kind": "Event",
                "apiVersion": "v1",
                "metadata": {
                    "name": f"{metadata['name']}.{time.time_ns():x}",
                    "namespace": metadata["namespace"],
                },
                "involvedObject": subject,
                "type": kind,
                "reason": reason,
                "message": message[:1024],
                "source": {"component": component, **({"host": self._host} if self._host else {})},
                "reportingComponent": component,
                "reportingInstance": self._host,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
            }
        )

    async def run(self) -> None:
        """Send for ever."""
        while True:
            event = await self._queue.get()
            try:
                await self._send(event)
            except ApiError as error:
                # The namespace may be going, with all that is in it.
                log.log(
                    logging.DEBUG if error.status in {403, 404} else logging.WARNING, "event not recorded: %s", error
                )

    async def _send(self, event: Json) -> None:
        subject = event["involvedObject"]
        key = (subject["uid"], subject.get("fieldPath", ""), event["reason"], event["message"])
        collection = f"/api/v1/namespaces/{subject['namespace']}/events"
        if key in self._sent:
            name, count = self._sent[key]
            self._sent[key] = (name, count + 1)
            change = {"count": count + 1, "lastTimestamp": event["lastTimestamp"]}
            try:
                await self._client.patch(f"{collection}/{name}", change)
            except ApiError as error:
                if error.status != 404:
                    raise
            else:
                return
        await self._client.create(collection, event)
        self._sent[key] = (event["metadata"]["name"], 1)
        if len(self._sent) > _REMEMBERED:
            del self._sent[next(iter(self._sent))]
