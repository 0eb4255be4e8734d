"""The columns that ``kubectl get`` shows of each built-in kind, as Kubernetes prints them. Pure but for the clock.

A title that begins with ``*`` is shown with ``-o wide`` only.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from pytest_mesh.clusters.local.apiserver import objects, podcells

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_mesh.contracts import Json

    Cell = Callable[[Json], Any]

UNKNOWN = "<unknown>"
NONE = "<none>"


def text(value: Any) -> str:
    """Give any value as a cell."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def human(duration: dt.timedelta) -> str:
    """Give a duration as kubectl shows ages: ``5s``, ``3m12s``, ``2d4h``."""
    seconds = int(duration.total_seconds())
    if seconds < -1:
        return "<invalid>"
    seconds = max(0, seconds)
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        rest = seconds % 60
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if days < 730:
        return f"{days}d"
    years, rest = divmod(days, 365)
    return f"{years}y{rest}d" if years < 8 and rest else f"{years}y"


def since(moment: str | None) -> str:
    """Give the age of a timestamp."""
    if not moment:
        return UNKNOWN
    try:
        return human(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(moment))
    except ValueError:
        return UNKNOWN


def name(obj: Json) -> str:
    """Give an object's name."""
    return str(obj["metadata"]["name"])


def age(obj: Json) -> str:
    """Give an object's age."""
    return since(obj["metadata"].get("creationTimestamp"))


def at(path: str, default: Any = "") -> Cell:
    """Give a cell that shows what is at a path."""

    def cell(obj: Json) -> Any:
        value = objects.at(obj, path)
        return default if value is None else value

    return cell


def _count(path: str) -> Cell:
    def cell(obj: Json) -> int:
        return len(objects.at(obj, path) or ())

    INTEGERS.add(cell)
    return cell


def _number(path: str) -> Cell:
    cell = at(path, 0)
    INTEGERS.add(cell)
    return cell


INTEGERS: set[Cell] = set()
"""The cells that hold whole numbers."""


def _labels(labels: Json | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or NONE


def _selector(obj: Json) -> str:
    selector = objects.at(obj, "spec.selector") or {}
    return _labels(selector.get("matchLabels", selector if "matchExpressions" not in selector else {}))


def _containers(field: str) -> Cell:
    def cell(obj: Json) -> str:
        return ",".join(c.get(field, "") for c in objects.at(obj, "spec.template.spec.containers") or ()) or NONE

    return cell


# ---------------------------------------------------------------- services and endpoints


def _external_ip(obj: Json) -> str:
    spec = obj.get("spec", {})
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    found = [one.get("ip") or one.get("hostname") for one in objects.at(obj, "status.loadBalancer.ingress") or ()]
    found += spec.get("externalIPs", [])
    if found:
        return ",".join(str(one) for one in found)
    return "<pending>" if spec.get("type") == "LoadBalancer" else NONE


def _service_ports(obj: Json) -> str:
    found = []
    for port in obj.get("spec", {}).get("ports", ()):
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        found.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(found) or NONE


def _some(found: list[str], limit: int = 3) -> str:
    if not found:
        return NONE
    more = f" + {len(found) - limit} more..." if len(found) > limit else ""
    return ",".join(found[:limit]) + more


def _endpoints(obj: Json) -> str:
    found: list[str] = []
    for subset in obj.get("subsets", ()):
        addresses = [address["ip"] for address in subset.get("addresses", ())]
        ports = [port["port"] for port in subset.get("ports", ())]
        found += [f"{a}:{p}" for p in ports for a in addresses] if ports else addresses
    return _some(found)


def _slice_ports(obj: Json) -> str:
    return _some([str(port.get("port", "*")) for port in obj.get("ports") or ()]).replace(NONE, "<unset>")


def _slice_addresses(obj: Json) -> str:
    return _some([address for endpoint in obj.get("endpoints") or () for address in endpoint["addresses"]]).replace(
        NONE, "<unset>"
    )


# ---------------------------------------------------------------- others


def _node_status(obj: Json) -> str:
    conditions = {c["type"]: c["status"] for c in objects.at(obj, "status.conditions") or ()}
    found = [{"True": "Ready"}.get(conditions["Ready"], "NotReady")] if "Ready" in conditions else ["Unknown"]
    if objects.at(obj, "spec.unschedulable"):
        found.append("SchedulingDisabled")
    return ",".join(found)


def _roles(obj: Json) -> str:
    prefix = "node-role.kubernetes.io/"
    found = [key.removeprefix(prefix) for key in obj["metadata"].get("labels") or {} if key.startswith(prefix)]
    return ",".join(sorted(found)) or NONE


def _node_address(kind: str) -> Cell:
    def cell(obj: Json) -> str:
        found = [a["address"] for a in objects.at(obj, "status.addresses") or () if a["type"] == kind]
        return found[0] if found else NONE

    return cell


def _ready(obj: Json) -> str:
    return f"{objects.at(obj, 'status.readyReplicas') or 0}/{objects.at(obj, 'spec.replicas') or 0}"


def _event_object(obj: Json) -> str:
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    return f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"


def _event_seen(obj: Json) -> str:
    last = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or objects.at(obj, "series.lastObservedTime")
    return since(last or obj.get("eventTime") or obj["metadata"].get("creationTimestamp"))


def _event_message(obj: Json) -> str:
    return str(obj.get("message") or obj.get("note") or "").strip()


def _hosts(obj: Json) -> str:
    return _some([rule["host"] for rule in objects.at(obj, "spec.rules") or () if rule.get("host")]).replace(NONE, "*")


def _crd_created(obj: Json) -> str:
    return str(obj["metadata"].get("creationTimestamp", ""))


def _default_class(obj: Json) -> str:
    return str(objects.at(obj, "spec.parameters.name") or NONE)


def _controller(obj: Json) -> str:
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            return f"{owner['kind'].lower()}{'.' + group if group else ''}/{owner['name']}"
    return NONE


def _completions(job: Json) -> str:
    spec, done = job["spec"], (job.get("status") or {}).get("succeeded", 0)
    if "completions" in spec:
        return f"{done}/{spec['completions']}"
    return f"{done}/1 of {spec['parallelism']}" if spec.get("parallelism", 1) > 1 else f"{done}/1"


def _job_duration(job: Json) -> str:
    status = job.get("status") or {}
    if not status.get("startTime"):
        return ""
    if not status.get("completionTime"):
        return since(status["startTime"])
    begun, ended = (dt.datetime.fromisoformat(status[name]) for name in ("startTime", "completionTime"))
    return human(ended - begun)


def _job_status(job: Json) -> str:
    held = {
        entry["type"] for entry in (job.get("status") or {}).get("conditions") or () if entry.get("status") == "True"
    }
    order = ("Complete", "Failed", "Terminating", "Suspended", "FailureTarget", "SuccessCriteriaMet")
    if job["metadata"].get("deletionTimestamp"):
        held.add("Terminating")
    return next((name for name in order if name in held), "Running")


_READY_COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("Age", age),
    ("*Containers", _containers("name")),
    ("*Images", _containers("image")),
    ("*Selector", _selector),
)

COLUMNS: dict[str, tuple[tuple[str, Cell], ...]] = {
    "pods": podcells.COLUMNS,
    "services": (
        ("Type", at("spec.type")),
        ("Cluster-IP", at("spec.clusterIP", NONE)),
        ("External-IP", _external_ip),
        ("Port(s)", _service_ports),
        ("Age", age),
        ("*Selector", lambda obj: _labels(obj.get("spec", {}).get("selector"))),
    ),
    "endpoints": (("Endpoints", _endpoints), ("Age", age)),
    "endpointslices.discovery.k8s.io": (
        ("AddressType", at("addressType")),
        ("Ports", _slice_ports),
        ("Endpoints", _slice_addresses),
        ("Age", age),
    ),
    "namespaces": (("Status", at("status.phase")), ("Age", age)),
    "nodes": (
        ("Status", _node_status),
        ("Roles", _roles),
        ("Age", age),
        ("Version", at("status.nodeInfo.kubeletVersion")),
        ("*Internal-IP", _node_address("InternalIP")),
        ("*External-IP", _node_address("ExternalIP")),
        ("*OS-Image", at("status.nodeInfo.osImage", UNKNOWN)),
        ("*Kernel-Version", at("status.nodeInfo.kernelVersion", UNKNOWN)),
        ("*Container-Runtime", at("status.nodeInfo.containerRuntimeVersion", UNKNOWN)),
    ),
    "secrets": (("Type", at("type")), ("Data", _count("data")), ("Age", age)),
    "configmaps": (("Data", _count("data")), ("Age", age)),
    "serviceaccounts": (("Secrets", _count("secrets")), ("Age", age)),
    "events": (
        ("Last Seen", _event_seen),
        ("Type", at("type")),
        ("Reason", at("reason")),
        ("Object", _event_object),
        ("Message", _event_message),
    ),
    "deployments.apps": (
        ("Ready", _ready),
        ("Up-to-date", _number("status.updatedReplicas")),
        ("Available", _number("status.availableReplicas")),
        *_READY_COLUMNS,
    ),
    "replicasets.apps": (
        ("Desired", _number("spec.replicas")),
        ("Current", _number("status.replicas")),
        ("Ready", _number("status.readyReplicas")),
        *_READY_COLUMNS,
    ),
    "statefulsets.apps": (
        ("Ready", _ready),
        ("Age", age),
        ("*Containers", _containers("name")),
        ("*Images", _containers("image")),
    ),
    "daemonsets.apps": (
        ("Desired", _number("status.desiredNumberScheduled")),
        ("Current", _number("status.currentNumberScheduled")),
        ("Ready", _number("status.numberReady")),
        ("Up-to-date", _number("status.updatedNumberScheduled")),
        ("Available", _number("status.numberAvailable")),
        ("Node Selector", lambda obj: _labels(objects.at(obj, "spec.template.spec.nodeSelector"))),
        *_READY_COLUMNS,
    ),
    "controllerrevisions.apps": (("Controller", _controller), ("Revision", _number("revision")), ("Age", age)),
    "jobs.batch": (
        ("Status", _job_status),
        ("Completions", _completions),
        ("Duration", _job_duration),
        *_READY_COLUMNS,
    ),
    "cronjobs.batch": (
        ("Schedule", at("spec.schedule")),
        ("Timezone", at("spec.timeZone", NONE)),
        ("Suspend", lambda obj: str(bool(obj["spec"].get("suspend")))),
        ("Active", _count("status.active")),
        (
            "Last Schedule",
            lambda obj: (
                since(objects.at(obj, "status.lastScheduleTime"))
                if objects.at(obj, "status.lastScheduleTime")
                else NONE
            ),
        ),
        ("Age", age),
    ),
    "leases.coordination.k8s.io": (("Holder", at("spec.holderIdentity")), ("Age", age)),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": (("Webhooks", _count("webhooks")), ("Age", age)),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": (("Webhooks", _count("webhooks")), ("Age", age)),
    "customresourcedefinitions.apiextensions.k8s.io": (("Created At", _crd_created),),
    "ingresses.networking.k8s.io": (
        ("Class", at("spec.ingressClassName", NONE)),
        ("Hosts", _hosts),
        ("Address", at("status.loadBalancer.ingress.0.ip")),
        ("Ports", lambda obj: "80, 443" if objects.at(obj, "spec.tls") else "80"),
        ("Age", age),
    ),
    "ingressclasses.networking.k8s.io": (
        ("Controller", at("spec.controller")),
        ("Parameters", _default_class),
        ("Age", age),
    ),
    "clusterroles.rbac.authorization.k8s.io": (("Created At", _crd_created),),
    "roles.rbac.authorization.k8s.io": (("Created At", _crd_created),),
}


def absent(_obj: Json) -> Any:
    """Give the cell of a column that this server does not fill in."""
    return "<none>"
