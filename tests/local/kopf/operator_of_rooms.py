"""A small operator as its authors write them: ``kopf run operator_of_rooms.py``. It knows nothing of where it runs.

A Room has a ConfigMap with its name in it, which follows it; a deletion is written down before the Room goes.
"""

from typing import Any

import kopf
import kubernetes


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    settings.posting.level = 20
    settings.persistence.finalizer = "rooms.example/held"
    kubernetes.config.load_kube_config()


@kopf.on.create("rooms.example", "v1", "rooms")
def furnish(spec: kopf.Spec, name: str, namespace: str, body: kopf.Body, **_: Any) -> dict[str, str]:
    child = {"metadata": {"name": f"{name}-furniture"}, "data": {"seats": str(spec["seats"])}}
    kopf.adopt(child, owner=body)
    made = kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, child)
    kopf.info(body, reason="Furnished", message=f"{spec['seats']} seats")
    return {"furniture": made.metadata.name}


@kopf.on.update("rooms.example", "v1", "rooms", field="spec.seats")
def refurnish(old: int, new: int, name: str, namespace: str, patch: kopf.Patch, **_: Any) -> None:
    api = kubernetes.client.CoreV1Api()
    api.patch_namespaced_config_map(f"{name}-furniture", namespace, {"data": {"seats": str(new)}})
    patch.status["moved"] = f"from {old} to {new}"


@kopf.on.delete("rooms.example", "v1", "rooms")
def clear(name: str, namespace: str, **_: Any) -> None:
    farewell = {"metadata": {"name": f"{name}-cleared"}}
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, farewell)


@kopf.timer("rooms.example", "v1", "rooms", interval=1)
def air(patch: kopf.Patch, status: kopf.Status, **_: Any) -> None:
    patch.status["aired"] = min(3, status.get("aired", 0) + 1)


@kopf.on.event("", "v1", "configmaps", labels={"watched": "yes"})
def watch(event: kopf.RawEvent, name: str, namespace: str, **_: Any) -> None:
    if event["type"] == "ADDED":
        labels = {"metadata": {"annotations": {"seen-by": "operator"}}}
        kubernetes.client.CoreV1Api().patch_namespaced_config_map(name, namespace, labels)
