"""What a workload of the harness said before it fell silent: how its container ended, and the end of its log.

A workload that dies is the environment's fault, never a route's. It only reads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from pytest_mesh.contracts import Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.readiness import Expected

CONTAINER = "workload"
_LINES = 10
_LATE_SECONDS = 1.5
_POLL_SECONDS = 0.25
_CLOSED = "reset reason: connection termination"
"""What a proxy says where a server hung up before it answered."""


def check_workloads(kube: Kube, namespace: str, stand_ins: Sequence[Expected], answer: Json) -> None:
    """Raise ``Infrastructure`` where a batch has requests without an answer and a workload that was asked died.

    No route is to blame for what the dead do not answer. A pod that is being removed is no dead one.
    """
    if not unanswered(answer):
        return
    # A node tells of a death a moment after the callers feel it.
    deadline = time.monotonic() + (_LATE_SECONDS if vanished(answer) else 0)
    while True:
        pods = kube.list(f"/api/v1/namespaces/{namespace}/pods")
        asked = [pod for pod in pods if any(one.matches(pod) for one in stand_ins)]
        for name in fallen([pod for pod in asked if not pod["metadata"].get("deletionTimestamp")]):
            words = last_words(kube, namespace, name)
            raise Infrastructure(f"requests went unanswered, and the workload {namespace}/{name} died: {words}")
        if time.monotonic() >= deadline:
            return
        time.sleep(_POLL_SECONDS)


def unanswered(answer: Json) -> bool:
    """Whether some request of a batch got no answer, or one that a proxy gives where nobody answers."""
    if "observations" not in answer:
        return bool(answer.get("failures"))
    return any(one.get("failure") or one.get("status") in {502, 503, 504} for one in answer["observations"])


def vanished(answer: Json) -> bool:
    """Whether some request was taken by a server that then closed its connection, as the dying do.

    Of counts it is not known how requests failed: any failure may be that.
    """
    if "observations" not in answer:
        return bool(answer.get("failures"))
    return any(one.get("status") == 503 and _CLOSED in one.get("body", "") for one in answer["observations"])


def last_words(kube: Kube, namespace: str, pod: str) -> str:
    """Give in words what became of a pod's workload; never raises."""
    try:
        found = kube.find(f"/api/v1/namespaces/{namespace}/pods/{pod}")
    except (KubeError, Infrastructure) as error:
        return f"nothing can be learned of it: {error}"
    if found is None:
        return "the pod is gone"
    return told(found, _log(kube, namespace, pod, previous=restarts(found) > 0))


def told(pod: Json, log: str) -> str:
    """Give a pod's end in words."""
    status = pod.get("status") or {}
    container = _container(pod)
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
    words = [f"the pod is {status.get('phase', 'of unknown phase')}"]
    if pod["metadata"].get("deletionTimestamp"):
        words.append("and on its way out")
    if ended:
        words.append(
            f"its workload ended with code {ended.get('exitCode')} ({ended.get('reason') or 'no reason told'})"
        )
    elif not container.get("ready", True):
        words.append("its workload is not ready")
    lines = "".join(f"\n  {line}" for line in log.strip().splitlines()[-_LINES:])
    return f"{', '.join(words)}; its last words:{lines or ' none'}"


def fallen(pods: Sequence[Json]) -> list[str]:
    """Give the names of pods whose workload ended since it was started."""
    return [
        str(pod["metadata"]["name"])
        for pod in pods
        if restarts(pod) > 0 or (_container(pod).get("state") or {}).get("terminated")
    ]


def restarts(pod: Json) -> int:
    """Give how often a pod's workload was started again."""
    return int(_container(pod).get("restartCount") or 0)


def _container(pod: Json) -> Json:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((one for one in statuses if one.get("name") == CONTAINER), {})


def _log(kube: Kube, namespace: str, pod: str, *, previous: bool) -> str:
    try:
        return kube.logs(namespace, pod, CONTAINER, lines=_LINES, previous=previous)
    except (KubeError, Infrastructure):
        return ""
