"""A Pod's status from the state of its containers, as a kubelet reports it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_mesh.clusters.local.node import pod_specs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_mesh.contracts import Json


@dataclass(slots=True, kw_only=True)
class ContainerState:
    """What is known of one container; the states are in the API's own form."""

    spec: Json
    state: Json = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Json = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    started: bool = False
    identifier: str = ""
    user: Json = field(default_factory=dict)
    """``uid``, ``gid`` and ``supplementalGroups`` of its first process, once that is known."""

    @property
    def exit_code(self) -> int | None:
        """The code of a container that has ended and is not to be started again, else None."""
        terminated = self.state.get("terminated")
        return None if terminated is None else int(terminated["exitCode"])

    def to_json(self) -> Json:
        """Give the entry of containerStatuses."""
        resources = self.spec.get("resources") or {}
        found: Json = {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": f"mesh://{self.spec['image']}" if self.identifier else "",
            "containerID": self.identifier,
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
            "state": self.state,
            "lastState": self.last,
        }
        if self.identifier:
            found["resources"] = resources
            if resources.get("requests"):
                found["allocatedResources"] = resources["requests"]
            if self.user:
                found["user"] = {"linux": self.user}
            found["volumeMounts"] = [_mounted(mount) for mount in self.spec.get("volumeMounts") or ()]
        return found


def _mounted(mount: Json) -> Json:
    found = {name: mount[name] for name in ("name", "mountPath", "readOnly") if mount.get(name)}
    return {**found, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the status is derived from besides the Pod's object."""

    inits: Sequence[ContainerState]
    """Plain init containers and sidecars, in the spec's order."""
    mains: Sequence[ContainerState]
    address: str = ""
    host_address: str = ""
    started: str = ""
    """When the node took the Pod, RFC 3339."""
    ended: bool = False
    """Nothing of the Pod runs and nothing will."""
    failure: tuple[str, str] | None = None
    """(reason, message) of a Pod that this node refuses."""


def phase(facts: Facts) -> str:
    """Give Pending, Running, Succeeded or Failed."""
    if facts.failure:
        return "Failed"
    if facts.ended:
        plain = [state for state in facts.inits if not pod_specs.is_sidecar(state.spec)]
        if any(state.exit_code != 0 for state in (*plain, *facts.mains)):
            return "Failed"
        return "Succeeded"
    if not initialized(facts):
        return "Pending"
    if any("running" in state.state or state.restarts or "terminated" in state.state for state in facts.mains):
        return "Running"
    return "Pending"


def initialized(facts: Facts) -> bool:
    """Tell whether every init container is through and every sidecar has started."""
    return all(state.started if pod_specs.is_sidecar(state.spec) else state.exit_code == 0 for state in facts.inits)


def status(pod: Json, facts: Facts, now: str) -> Json:
    """Give the Pod's whole status; conditions that others own and unchanged transition times are kept."""
    old = pod.get("status") or {}
    current = phase(facts)
    result: Json = {
        "observedGeneration": pod["metadata"].get("generation", 1),
        "phase": current,
        "conditions": _conditions(pod, facts, current, now),
        "hostIP": facts.host_address,
        "hostIPs": [{"ip": facts.host_address}] if facts.host_address else [],
        "startTime": facts.started,
        "containerStatuses": [state.to_json() for state in facts.mains],
        "qosClass": old.get("qosClass") or pod_specs.quality(pod),
        "reason": facts.failure[0] if facts.failure else None,
        "message": facts.failure[1] if facts.failure else None,
    }
    if facts.inits:
        result["initContainerStatuses"] = [state.to_json() for state in facts.inits]
    if facts.address:
        result["podIP"] = facts.address
        result["podIPs"] = [{"ip": facts.address}]
    return result


def _conditions(pod: Json, facts: Facts, current: str, now: str) -> list[Json]:
    old = {condition["type"]: condition for condition in (pod.get("status") or {}).get("conditions") or ()}
    serving = [state for state in facts.inits if pod_specs.is_sidecar(state.spec)] + list(facts.mains)
    unready = [state.spec["name"] for state in serving if not state.ready]
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or ()]
    closed = [gate for gate in gates if (old.get(gate) or {}).get("status") != "True"]
    if facts.ended or facts.failure:
        reason, message = "PodCompleted" if current == "Succeeded" else "PodFailed", ""
        containers_ready = ready = ("False", reason, message)
    else:
        containers_ready = (
            ("False", "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
            if unready
            else ("True", "", "")
        )
        ready = containers_ready
        if not unready and closed:
            ready = (
                "False",
                "ReadinessGatesNotReady",
                f"the status of readiness gates {', '.join(closed)} is not True",
            )
    through = initialized(facts)
    waiting = [state.spec["name"] for state in facts.inits if not _through(state)]
    wanted = {
        "PodReadyToStartContainers": ("True" if facts.address and not facts.ended else "False", "", ""),
        "Initialized": ("True", "", "")
        if through
        else ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]"),
        "Ready": ready,
        "ContainersReady": containers_ready,
        "PodScheduled": ("True", "", ""),
    }
    result = [condition for kind, condition in old.items() if kind not in wanted]
    for kind, (value, reason, message) in wanted.items():
        before = old.get(kind) or {}
        condition: Json = {
            "type": kind,
            "status": value,
            "observedGeneration": pod["metadata"].get("generation", 1),
            "lastTransitionTime": before.get("lastTransitionTime", now) if before.get("status") == value else now,
        }
        if reason:
            condition |= {"reason": reason}
        if message:
            condition |= {"message": message}
        result.append(condition)
    return result


def _through(state: ContainerState) -> bool:
    return state.started if pod_specs.is_sidecar(state.spec) else state.exit_code == 0


def differs(old: Mapping[str, object], new: Mapping[str, object]) -> bool:
    """Tell whether a status has to be sent: it differs in what is set."""
    return any(old.get(key) != value for key, value in new.items())
