"""The scheduler of a cluster with one node: does the Pod fit it (``placing``), and if so, the binding."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.apiclient import ApiError
from pytest_mesh.clusters.local.node.parts import NODE_NAME, now
from pytest_mesh.clusters.local.placing import Place, obstacle

if TYPE_CHECKING:
    from pytest_mesh.clusters.local.apiclient import ApiClient
    from pytest_mesh.clusters.local.event_recorder import EventRecorder
    from pytest_mesh.contracts import Json

log = logging.getLogger(__name__)


async def schedule(pod: Json, place: Place, client: ApiClient, events: EventRecorder) -> None:
    """Bind the Pod to the node, or say loudly in its status and an event why not."""
    if pod["spec"].get("schedulingGates"):
        return  # its owner opens them with an update, which comes here again
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
    reason = obstacle(pod, place)
    try:
        if not reason:
            binding = {
                "kind": "Binding",
                "apiVersion": "v1",
                "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
                "target": {"kind": "Node", "apiVersion": "v1", "name": NODE_NAME},
            }
            await client.create(f"{path}/binding", binding)
            message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {NODE_NAME}"
            events.record(pod, "Normal", "Scheduled", message, component="default-scheduler")
            return
        old = (pod.get("status") or {}).get("conditions") or ()
        if any(each["type"] == "PodScheduled" and each.get("message") == reason for each in old):
            return
        events.record(pod, "Warning", "FailedScheduling", reason, component="default-scheduler")
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": reason,
            "lastTransitionTime": now(),
        }
        others = [each for each in old if each["type"] != "PodScheduled"]
        status = {"phase": "Pending", "conditions": [*others, condition]}
        await client.patch(f"{path}/status", {"metadata": {"uid": metadata["uid"]}, "status": status})
    except ApiError as error:
        if error.status not in {404, 409}:  # gone, or bound by somebody else
            log.warning("%s not scheduled: %s", path, error)
