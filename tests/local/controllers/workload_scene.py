"""A small world for plans of workloads: it carries out what they call for, and pods come up and go by themselves. Pure."""

from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def stamp(seconds=0.0):
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def workload(kind="StatefulSet", **spec):
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "a", "image": "one"}]}}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "shop", "uid": "u", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template, **spec},
        "status": {},
    }


def node(name="n", **spec):
    return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": spec}


class World:
    """Pods by name; ``tick`` brings the new ones up and takes the deleted ones away."""

    def __init__(self):
        self.pods = {}
        self.made = 0

    @property
    def present(self):
        return list(self.pods.values())

    def create(self, pod):
        self.made += 1
        metadata = pod["metadata"]
        name = metadata.get("name") or f"{metadata['generateName']}{self.made:04}"
        assert name not in self.pods, f"{name} is there already"
        whole = {**metadata, "name": name, "uid": f"p{self.made}", "creationTimestamp": stamp(-1000 + self.made)}
        self.pods[name] = {**pod, "metadata": whole, "status": {"phase": "Pending"}}

    def delete(self, name):
        self.pods[name]["metadata"]["deletionTimestamp"] = stamp()

    def tick(self, phase="Running"):
        for name, pod in list(self.pods.items()):
            finalizers = pod["metadata"].get("finalizers")
            if "deletionTimestamp" in pod["metadata"]:
                if not finalizers:
                    del self.pods[name]
            elif pod["status"]["phase"] == "Pending":
                ready = "True" if phase == "Running" else "False"
                condition = {"type": "Ready", "status": ready, "lastTransitionTime": stamp(-500)}
                pod["status"] = {"phase": phase, "conditions": [condition]}

    def ready(self):
        return [
            pod for pod in self.present
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]  # fmt: skip
