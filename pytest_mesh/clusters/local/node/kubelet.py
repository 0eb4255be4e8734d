"""The kubelet: watches Pods and what they are made of, and keeps one worker per Pod of this node."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local import placing
from pytest_mesh.clusters.local.node import node_object, scheduling
from pytest_mesh.clusters.local.node.parts import NODE_NAME
from pytest_mesh.clusters.local.node.pod_workers import PodWorker

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.node.parts import Parts
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)


class Kubelet:
    """Runs until cancelled; :meth:`worker` finds a Pod's worker for the kubelet's server."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._workers: dict[str, PodWorker] = {}  # by uid
        self._unbound: dict[str, Json] = {}  # by uid
        self._place = placing.Place(name=NODE_NAME, labels=node_object.labels())
        self._leaving = False
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Watch for ever."""
        async with self._group:
            self._group.create_task(node_object.keep(self.parts.client, self.parts.allocatable))
            self._group.create_task(self.parts.events.run())
            services_known = asyncio.Event()
            self._group.create_task(self._watch_services(services_known))
            # A pod's environment names the Services, the API's own before all.
            await services_known.wait()
            self._group.create_task(self._watch_node())
            self._group.create_task(self._watch_sources("configmaps"))
            self._group.create_task(self._watch_sources("secrets"))
            self._group.create_task(self._watch_pods())

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """Give the worker of a Pod by its name: the newest, if an older one of that name is still ending."""
        found = None
        for worker in self._workers.values():
            metadata = worker.pod["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                found = worker
        return found

    async def shut_down(self, grace: float) -> None:
        """Take no more Pods and end those that run, each within ``grace`` seconds; returns when they have ended."""
        self._leaving = True
        await node_object.say_leaving(self.parts.client)
        workers = list(self._workers.values())
        for worker in workers:
            worker.shut_down(grace)
        for worker in workers:
            await worker.over.wait()

    async def _watch_pods(self) -> None:
        async for event in self.parts.client.watch("/api/v1/pods"):
            if event.type != "SYNCED":
                self._handle_pod(event.type, event.object)

    async def _watch_node(self) -> None:
        """Follow the Node's labels and taints, and try the Pods again that wait for a place."""
        async for event in self.parts.client.watch("/api/v1/nodes", fieldSelector=f"metadata.name={NODE_NAME}"):
            if event.type in {"ADDED", "MODIFIED"} and (place := placing.Place.of(event.object)) != self._place:
                self._place = place
                for pod in self._unbound.values():
                    self._schedule(pod)

    def _schedule(self, pod: Json) -> None:
        self._group.create_task(scheduling.schedule(pod, self._place, self.parts.client, self.parts.events))

    def _handle_pod(self, kind: str, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        node = pod["spec"].get("nodeName")
        if node or kind == "DELETED":
            self._unbound.pop(uid, None)
        if kind == "DELETED":
            if worker is not None:
                worker.removed()
        elif worker is not None:
            worker.update(pod)
        elif not node:
            if not pod["metadata"].get("deletionTimestamp"):
                self._unbound[uid] = pod
                self._schedule(pod)
        elif node == NODE_NAME and not self._leaving:
            worker = PodWorker(pod, self.parts)
            self._workers[uid] = worker
            worker.update(pod)
            self._group.create_task(self._run(worker))

    async def _run(self, worker: PodWorker) -> None:
        """Run a worker; its failure is the Pod's and not the node's."""
        metadata = worker.pod["metadata"]
        try:
            await worker.run()
        except Exception as error:
            log.exception("the worker of pod %s/%s failed", metadata["namespace"], metadata["name"])
            message = f"the node's worker failed: {error!r}; see node.log"
            self.parts.events.record(worker.pod, "Warning", "NodeError", message)
        finally:
            worker.over.set()
            self._workers.pop(worker.uid, None)

    async def _watch_services(self, known: asyncio.Event) -> None:
        async for event in self.parts.client.watch("/api/v1/services"):
            if event.type == "SYNCED":
                known.set()
                continue
            metadata = event.object["metadata"]
            key = (metadata["namespace"], metadata["name"])
            if event.type == "DELETED":
                self.parts.services.pop(key, None)
            else:
                self.parts.services[key] = event.object

    async def _watch_sources(self, kind: str) -> None:
        async for event in self.parts.client.watch(f"/api/v1/{kind}"):
            if event.type == "SYNCED":
                continue
            metadata = event.object["metadata"]
            for worker in self._workers.values():
                if worker.pod["metadata"]["namespace"] == metadata["namespace"] and worker.uses(kind, metadata["name"]):
                    worker.source_changed()
