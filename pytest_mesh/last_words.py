"""What a workload of the harness said before it fell silent: how its container ended, and the end of its log.

A workload that dies is the environment's fault, never a route's. It only reads.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from pytest_mesh.contracts import CONTROL_PORT, Json
from pytest_mesh.failures import Infrastructure
from pytest_mesh.kube import Kube, KubeError
from pytest_mesh.readiness import Expected

CONTAINER = "workload"
_LINES = 10
_LATE_SECONDS = 1.5
_POLL_SECONDS = 0.25
_VOICE_SECONDS = 3.0
_CLOCKS_DIFFER = 60.0
_NOBODY = frozenset({"502", "503", "504"})
_CLOSED = "reset reason: connection termination"
"""What a proxy says where a server hung up before it answered."""


class Workloads:
    """The workloads that are asked in one namespace: whether one of them died, or hangs, while a batch was under way."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._told: dict[str, int] = {}
        """By pod's uid: restarts that are known, and no later batch's."""

    def check(self, asked: Sequence[Expected], answer: Json, *, began: float) -> None:
        """Raise ``Infrastructure`` where a batch has requests without an answer and a workload that was asked is to blame.

        No route is to blame for what the dead, or those that hang, do not answer. A pod that is being removed is no dead one.

        Args:
            asked: the pods whose workloads may have been asked.
            answer: the workload's answer to the batch.
            began: when the batch was sent, in seconds since the epoch; what ended long before it is not to blame.
        """
        if not unanswered(answer):
            return
        # A node tells of a death a moment after the callers feel it.
        deadline = time.monotonic() + (_LATE_SECONDS if vanished(answer) else 0)
        while True:
            found = self._kube.list(f"/api/v1/namespaces/{self._namespace}/pods")
            pods = [pod for pod in found if any(one.matches(pod) for one in asked)]
            pods = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
            fallen = [pod for pod in pods if fell(pod, since=began, known=self._told.get(_uid(pod), 0))]
            self._told |= {_uid(pod): restarts(pod) for pod in pods}
            for pod in fallen:
                name = pod["metadata"]["name"]
                words = last_words(self._kube, self._namespace, name)
                raise Infrastructure(
                    f"requests went unanswered, and the workload {self._namespace}/{name} died: {words}"
                )
            if time.monotonic() >= deadline:
                break
            time.sleep(_POLL_SECONDS)
        if late(answer):
            for pod in pods:
                self._require_voice(pod)

    def _require_voice(self, pod: Json) -> None:
        """Raise where a workload's control port takes a connection and says nothing: it hangs, as if it were stopped."""
        if "running" not in (_container(pod).get("state") or {}):
            return
        name = pod["metadata"]["name"]
        try:
            self._kube.proxy(self._namespace, name, CONTROL_PORT, "/healthz", {}, seconds=_VOICE_SECONDS)
        except KubeError:
            return  # It was refused, by a proxy perhaps, and refusing is no hanging.
        except Infrastructure as error:
            words = last_words(self._kube, self._namespace, name)
            raise Infrastructure(
                f"requests timed out, and the workload {self._namespace}/{name} hangs: its control port says nothing "
                f"within {_VOICE_SECONDS:g} s; {words}"
            ) from error


def unanswered(answer: Json) -> bool:
    """Whether some request of a batch got no answer, or one that a proxy gives where nobody answers."""
    if "observations" not in answer:
        return bool(answer.get("failures")) or any((answer.get("counts") or {}).get(status) for status in _NOBODY)
    return any(one.get("failure") or str(one.get("status")) in _NOBODY for one in answer["observations"])


def vanished(answer: Json) -> bool:
    """Whether some request was taken by a server that then closed its connection, as the dying do.

    Of counts it is not known how requests failed: any failure may be that.
    """
    if "observations" not in answer:
        return bool(answer.get("failures"))
    return any(one.get("status") == 503 and _CLOSED in one.get("body", "") for one in answer["observations"])


def late(answer: Json) -> bool:
    """Whether some request ended because nothing came in time: at the client, or at its proxy (504)."""
    if "observations" not in answer:
        failures, counts = answer.get("failures") or {}, answer.get("counts") or {}
        return bool(failures.get("timeout") or failures.get("status 504") or counts.get("504"))
    return any(one.get("failure") == "timeout" or one.get("status") == 504 for one in answer["observations"])


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


def fell(pod: Json, *, since: float, known: int = 0) -> bool:
    """Whether a pod's workload ended after ``since`` (seconds since the epoch), beyond the ``known`` restarts.

    Clocks of two machines differ: an end up to a minute earlier counts as well, and so does one without a time.
    """
    container = _container(pod)
    ended = (container.get("state") or {}).get("terminated")
    if not ended and restarts(pod) <= known:
        return False
    at = (ended or (container.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    return not at or datetime.fromisoformat(at).timestamp() >= since - _CLOCKS_DIFFER


def restarts(pod: Json) -> int:
    """Give how often a pod's workload was started again."""
    return int(_container(pod).get("restartCount") or 0)


def _uid(pod: Json) -> str:
    return str(pod["metadata"].get("uid") or pod["metadata"]["name"])


def _container(pod: Json) -> Json:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((one for one in statuses if one.get("name") == CONTAINER), {})


def _log(kube: Kube, namespace: str, pod: str, *, previous: bool) -> str:
    try:
        return kube.logs(namespace, pod, CONTAINER, lines=_LINES, previous=previous)
    except (KubeError, Infrastructure):
        return ""
