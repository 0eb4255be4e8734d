"""A Kubernetes API and a mesh that are just enough to test the plugin: objects in memory, real workload processes.

Run as a program it serves until it is terminated. It routes the batches that
pass through pods/proxy by the VirtualServices that were applied (weights of the
last route), which makes it a mesh with no proxies. Pods whose image is not the
workload's are ErrImagePull.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

KINDS = {
    "/api/v1": [
        ("namespaces", "Namespace", False),
        ("pods", "Pod", True),
        ("services", "Service", True),
        ("serviceaccounts", "ServiceAccount", True),
        ("configmaps", "ConfigMap", True),
        ("secrets", "Secret", True),
        ("events", "Event", True),
    ],
    "/apis/apps/v1": [("deployments", "Deployment", True)],
    "/apis/networking.istio.io/v1": [
        ("virtualservices", "VirtualService", True),
        ("destinationrules", "DestinationRule", True),
    ],
    "/apis/apiextensions.k8s.io/v1": [("customresourcedefinitions", "CustomResourceDefinition", False)],
    "/apis/admissionregistration.k8s.io/v1": [
        ("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", False),
        ("validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False),
    ],
    "/apis/coordination.k8s.io/v1": [("leases", "Lease", True)],
    "/apis/rbac.authorization.k8s.io/v1": [
        ("rolebindings", "RoleBinding", True),
        ("clusterroles", "ClusterRole", False),
    ],
}
IMAGE = "pytest-mesh/workload"
OBJECTS: dict[str, dict] = {}
PROCESSES: dict[str, tuple[subprocess.Popen, list[int], int]] = {}
LOCK = threading.RLock()
DENIED: list[tuple[str, str]] = []
"""What an access review denies: (``VERB RESOURCE``, where: empty = everywhere, ``unbound`` = without a RoleBinding, or a namespace)."""
SKEW = float(os.environ.get("FAKE_SKEW", "0"))


def status(code: int, reason: str, message: str) -> tuple[int, dict]:
    return code, {"kind": "Status", "code": code, "reason": reason, "message": message}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def allowed(asked: dict) -> bool:
    below = f"/{asked['subresource']}" if asked.get("subresource") else ""
    right = f"{asked['verb']} {asked['resource']}{below}"
    namespace = asked.get("namespace", "")
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/"
    bound = any(key.startswith(bindings) for key in OBJECTS)
    denied = {"", namespace or "everywhere"} | (set() if bound else {"unbound"})
    return not any(one == right and where in denied for one, where in DENIED)


def make_pod(namespace: str, deployment: dict) -> None:
    template = deployment["spec"]["template"]
    container = template["spec"]["containers"][0]
    name = f"{deployment['metadata']['name']}-0"
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
        "status": {"phase": "Pending", "podIP": "127.0.0.1", "containerStatuses": []},
    }
    key = f"/api/v1/namespaces/{namespace}/pods/{name}"
    OBJECTS[key] = pod
    if container["image"] != IMAGE:
        message = f"no image {container['image']!r} in the table"
        waiting = {"waiting": {"reason": "ErrImagePull", "message": message}}
        pod["status"]["containerStatuses"] = [{"name": container["name"], "ready": False, "state": waiting}]
        OBJECTS[f"/api/v1/namespaces/{namespace}/events/e1"] = {
            "kind": "Event",
            "metadata": {"name": "e1"},
            "involvedObject": {"kind": "Pod", "name": name},
            "type": "Warning",
            "reason": "Failed",
            "message": message,
        }
        return
    env = {one["name"]: one.get("value", "") for one in container["env"]}
    env |= {"POD_NAME": name, "POD_NAMESPACE": namespace}
    port, control = free_port(), free_port()
    env |= {"SERVICE_ACCOUNT": template["spec"]["serviceAccountName"], "MESH_CONTROL_PORT": str(control)}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest_mesh.workloads", str(port)],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    PROCESSES[key] = (process, [port], control)
    pod["status"].update(
        phase="Running",
        containerStatuses=[{"name": container["name"], "ready": True, "state": {"running": {}}}],
        conditions=[{"type": "Ready", "status": "True"}],
    )


def route(namespace: str, host: str) -> tuple[list[tuple[str, float]], str]:
    """Give (pod key, weight) of what answers for a host, and the epoch marker."""
    pods = {
        key: pod["metadata"]["labels"]
        for key, pod in OBJECTS.items()
        if key.startswith(f"/api/v1/namespaces/{namespace}/pods/") and pod["metadata"]["labels"].get("app") == host
    }
    virtual = next(
        (
            one
            for key, one in OBJECTS.items()
            if f"/namespaces/{namespace}/virtualservices/" in key and host in one["spec"]["hosts"]
        ),
        None,
    )
    if virtual is None:
        return [(key, 1.0) for key in pods], ""
    last = virtual["spec"]["http"][-1]
    weights = {one["destination"]["subset"]: one.get("weight", 100) for one in last["route"]}
    if SKEW:
        first, *_ = weights
        weights = {name: weight - SKEW if name == first else weight + SKEW for name, weight in weights.items()}
    epoch = last.get("headers", {}).get("response", {}).get("set", {}).get("x-mesh-epoch", "")
    return [(key, weights[labels["version"]]) for key, labels in pods.items()], epoch


def send(control: int, body: dict, what: str = "batch") -> dict:
    request = urllib.request.Request(f"http://127.0.0.1:{control}/v1/{what}", json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def carry(namespace: str, pod: str, batch: dict) -> dict:
    key = f"/api/v1/namespaces/{namespace}/pods/{pod}"
    account = OBJECTS[key]["spec"]["serviceAccountName"]
    control = PROCESSES[key][2]
    xfcc = [
        "x-forwarded-client-cert",
        f"By=spiffe://cluster.local/ns/x/sa/y;Hash=0;URI=spiffe://cluster.local/ns/{namespace}/sa/{account}",
    ]
    merged: dict = {"observations": [], "counts": {}, "failures": {}, "runs": [], "seconds": 0.0}
    for index, one in enumerate(batch["requests"]):
        host = urlsplit(one["url"]).hostname
        targets, epoch = route(namespace, host)
        picks = random.choices(*zip(*targets, strict=True), k=batch["count"]) if targets else []
        for target in set(picks):
            port = PROCESSES[target][1][0]
            url = one["url"].replace(host, f"127.0.0.1:{port}", 1)
            part = {
                **batch,
                "requests": [{**one, "url": url, "headers": [*one["headers"], xfcc]}],
                "count": picks.count(target),
            }
            answer = send(control, part)
            for name, number in answer.get("counts", {}).items():
                merged["counts"][name] = merged["counts"].get(name, 0) + number
            for observation in answer.get("observations", []):
                observation["request"] = index
                if epoch:
                    observation["headers"].append(["x-mesh-epoch", epoch])
                merged["observations"].append(observation)
    return merged


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second would wait 40 ms for an ACK

    def log_message(self, *_):
        pass

    def answer(self, code, body):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_ANY(self):
        url = urlsplit(self.path)
        query = {key: value[0] for key, value in parse_qs(url.query).items()}
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else {}
        if query.get("watch"):
            time.sleep(0.02)
            self.answer(200, "")
            return
        if "/proxy/v1/batch" in url.path:
            parts = url.path.split("/")
            self.answer(200, carry(parts[4], parts[6].partition(":")[0], body))
            return
        if "/proxy/v1/probe" in url.path:
            control = PROCESSES[url.path.partition(":")[0]][2]
            self.answer(200, send(control, body, "probe"))
            return
        with LOCK:
            self.answer(*self.dispatch(url.path, query, body))

    do_GET = do_POST = do_PATCH = do_DELETE = do_ANY  # noqa: N815

    def dispatch(self, path, query, body):
        if path in KINDS:
            rows = [{"name": name, "kind": kind, "namespaced": yes} for name, kind, yes in KINDS[path]]
            return 200, {"resources": rows}
        if path == "/version":
            return 200, {"gitVersion": "v1.34.4-fake"}
        if path.endswith("/log"):
            return 200, "a line of log, token=abcdefghijkl\n"
        if self.command == "PATCH":
            return self.apply(path, body)
        if body.get("kind") == "SelfSubjectReview":
            return 201, {"status": {"userInfo": {"username": "system:serviceaccount:pytest-mesh:pytest-mesh"}}}
        if body.get("kind") == "SelfSubjectRulesReview":
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            return 201, {"status": {"resourceRules": [] if DENIED else [everything], "incomplete": bool(DENIED)}}
        if body.get("kind") == "SelfSubjectAccessReview":
            return 201, {"status": {"allowed": allowed(body["spec"]["resourceAttributes"])}}
        if self.command == "POST":
            if path == "/api/v1/namespaces":
                body["metadata"]["uid"] = os.urandom(4).hex()
                body["metadata"].setdefault("creationTimestamp", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
            return self.apply(f"{path}/{body['metadata']['name']}", body)
        if self.command == "DELETE":
            wanted = (body.get("preconditions") or {}).get("uid")
            if wanted and path in OBJECTS and OBJECTS[path]["metadata"].get("uid") != wanted:
                return status(409, "Conflict", "the UID in the precondition does not match")
            return self.delete(path)
        if path in OBJECTS:
            return 200, OBJECTS[path]
        plural = path.rpartition("/")[2]
        if path == "/api/v1/configmaps":
            return 200, {"items": [one for key, one in OBJECTS.items() if "/configmaps/" in key]}
        if any(plural == name for rows in KINDS.values() for name, _, _ in rows) or plural == "nodes":
            wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
            items = [
                one
                for key, one in OBJECTS.items()
                if key.rpartition("/")[0] == path and wanted.items() <= one["metadata"].get("labels", {}).items()
            ]
            return 200, {"items": items, "metadata": {"resourceVersion": "1"}}
        return status(404, "NotFound", f"{path} not found")

    def apply(self, path, body):
        if body["kind"] == "VirtualService" and not body["spec"].get("hosts"):
            return status(400, "BadRequest", 'admission webhook "v" denied the request: spec.hosts: must not be empty')
        known = OBJECTS.get(path) == body
        OBJECTS[path] = body
        if body["kind"] == "Deployment" and not known:
            make_pod(path.split("/")[5], body)
        return 200, body

    def delete(self, path):
        for key in [key for key in OBJECTS if key == path or key.startswith(f"{path}/")]:
            OBJECTS.pop(key)
            if key in PROCESSES:
                PROCESSES.pop(key)[0].kill()
        return 200, {}


def main(directory: Path) -> None:
    if (directory / "denied").exists():
        for line in (directory / "denied").read_text().splitlines():
            verb, resource, *where = line.split()
            DENIED.append((f"{verb} {resource}", " ".join(where)))
    if (directory / "objects.json").exists():
        OBJECTS.update(json.loads((directory / "objects.json").read_text()))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "fake",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
    }
    (directory / "kubeconfig.part").write_text(json.dumps(kubeconfig))
    (directory / "kubeconfig.part").rename(directory / "kubeconfig")
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.02)
    for process, _, _ in PROCESSES.values():
        process.kill()
        process.wait()


# ------------------------------------------------------------ the backend, in the process that runs pytest


class FakeCluster:
    backend = "fake"

    def __init__(self, directory: Path, pid: int, name: str) -> None:
        self.directory, self.pid, self.name = directory, pid, name
        self.kubeconfig = directory / "kubeconfig"

    def add_images(self, images, progress):
        pass

    def handle(self):
        return {"directory": str(self.directory), "pid": self.pid, "name": self.name}

    def collect(self, directory):
        pass

    def down(self):
        os.kill(self.pid, signal.SIGTERM)
        if "server" in PROCESSES:
            PROCESSES.pop("server")[0].wait()
        note(self.directory, "down")


class FakeBackend:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, _request):
        return None

    def start(self, request):
        if os.environ.get("FAKE_BROKEN"):
            from pytest_mesh.failures import Infrastructure

            note(self.directory, "broken")
            raise Infrastructure("no iptables on this machine: apt-get install iptables")
        note(self.directory, "start")
        request.progress("cluster: the fake is coming up")
        process = subprocess.Popen([sys.executable, __file__, str(self.directory)])
        (self.directory / "server.pid").write_text(str(process.pid))
        while not (self.directory / "kubeconfig").exists():
            assert process.poll() is None
            time.sleep(0.005)
        PROCESSES["server"] = (process, [], 0)
        return FakeCluster(self.directory, process.pid, request.name)

    def attach(self, handle):
        return FakeCluster(Path(handle["directory"]), handle["pid"], handle["name"])


def note(directory: Path, event: str) -> None:
    with (directory / "events.log").open("a") as file:
        file.write(f"{event}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
