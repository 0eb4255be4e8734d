"""Prints a mesh's manifests with the mutating proxy before its control plane: ``manifests.py MUTANT NAMESPACE/SECRET COMMAND...``.

The Service that proxies and the API server know keeps its name and leads to the
mutating proxy; one more Service leads from there to the control plane as it is.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import yaml

Json = dict[str, Any]

NAME = "mesh-mutants"
IMAGE = "mesh-mutants/proxy"
XDS_PORT = 15012
READY_PORT = 8090


def with_proxy(documents: list[Json], mutant: str, secret: str) -> list[Json]:
    """Give the documents with the proxy in; raises LookupError where there is not one Service of a control plane."""
    found = [one for one in documents if one["kind"] == "Service" and _serves_xds(one)]
    if len(found) != 1:
        names = ", ".join(one["metadata"]["name"] for one in found) or "none"
        raise LookupError(f"one Service with port {XDS_PORT} is wanted, there are: {names}")
    (front,) = found
    behind = copy.deepcopy(front)
    behind["metadata"]["name"] = f"{front['metadata']['name']}-behind"
    behind["spec"].pop("clusterIP", None)
    front["spec"]["selector"] = {"app": NAME}
    return [*documents, behind, *_proxy(behind, mutant, secret)]


def _serves_xds(service: Json) -> bool:
    return any(port["port"] == XDS_PORT for port in service["spec"].get("ports") or ())


def _proxy(behind: Json, mutant: str, secret: str) -> list[Json]:
    namespace = behind["metadata"]["namespace"]
    where, _, name = secret.partition("/")
    metadata = {"name": NAME, "namespace": namespace}
    reader = {"name": NAME, "namespace": where}
    ports = ",".join(f"{one['port']}:{one.get('targetPort', one['port'])}" for one in behind["spec"]["ports"])
    target = f"{behind['metadata']['name']}.{namespace}.svc"
    container: Json = {
        "name": "proxy",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "args": [mutant, secret, target, ports],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": READY_PORT}, "periodSeconds": 1},
        "securityContext": {"runAsUser": 1337, "runAsGroup": 1337},
    }
    rules = [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [name], "verbs": ["get"]}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": reader, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": reader,
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": NAME}},
                "template": {
                    "metadata": {"labels": {"app": NAME, "sidecar.istio.io/inject": "false"}},
                    "spec": {"serviceAccountName": NAME, "containers": [container]},
                },
            },
        },
    ]


if __name__ == "__main__":
    mutant, secret, *command = sys.argv[1:]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    documents = [one for one in yaml.safe_load_all(done.stdout) if one]
    yaml.safe_dump_all(with_proxy(documents, mutant, secret), sys.stdout)
