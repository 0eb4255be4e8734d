"""Services, names, addresses and rules: what a Pod reaches, and what stays its own."""

import sys

from cluster_scene import PYTHON, SHELL, SLEEP, WORKLOAD, is_ready, python, shell

APPS = "/apis/apps/v1"
SERVE = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (os.environ["HOSTNAME"] + " saw " + self.client_address[0]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
"""
ASK = """
import sys, time, urllib.error, urllib.request
deadline = time.monotonic() + 5
while True:
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
        break
    except urllib.error.URLError as error:
        # An endpoint is known a moment before the rules that lead to it.
        if not isinstance(error.reason, ConnectionRefusedError) or time.monotonic() > deadline:
            raise
        time.sleep(0.02)
"""


def ask(url, name="app"):
    return {"name": name, "image": PYTHON, "args": ["-c", ASK, url]}


def deployment(name, container, replicas=1):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name, **fields):
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], **fields}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def is_available(obj):
    return obj is not None and any(
        each["type"] == "Available" and each["status"] == "True" for each in obj.get("status", {}).get("conditions", ())
    )


def serving(space, name, **fields):
    """A server behind a Service; returns when an endpoint is ready."""
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    space.create("services", service(name, **fields))
    space.create("deployments", deployment(name, python(SERVE, readinessProbe=probe)), prefix=APPS)
    path = space.path("deployments", name, prefix=APPS)
    space.scene.until(path, is_available, what="availability")


def test_a_deployment_gets_ready_and_its_service_answers_by_name_from_another_pod(space):
    serving(space, "web")

    space.finished("short", ask("http://web/"))
    space.finished("long", ask(f"http://web.{space.name}.svc.cluster.local:80/"))

    pod = space.scene.get(space.path("pods", "short"))
    assert space.log("short").startswith("web-")
    assert space.log("short").endswith(f" saw {pod['status']['podIP']}\n")
    assert space.log("long").startswith("web-")


def test_a_headless_service_resolves_to_its_pods_addresses(space):
    serving(space, "heads", clusterIP="None")
    pods = space.scene.get(space.path("pods"), labelSelector="app=heads")["items"]

    space.finished("asks", python("import socket; print(socket.gethostbyname('heads'))"))

    assert space.log("asks") == pods[0]["status"]["podIP"] + "\n"


def test_a_pod_reaches_its_own_service(space):
    space.create("services", service("self"))
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    space.running("itself", python(SERVE, readinessProbe=probe), labels={"app": "self"})
    slices = space.path("endpointslices", prefix="/apis/discovery.k8s.io/v1")
    name = space.scene.get(slices)["items"][0]["metadata"]["name"]
    space.scene.until(f"{slices}/{name}", lambda each: any(e["conditions"]["ready"] for e in each["endpoints"] or ()))

    out, errors, code = space.scene.execute(space.name, "itself", [sys.executable, "-c", ASK, "http://self/"])

    assert code == 0, errors
    assert out.startswith("itself saw ")


def test_a_service_without_ready_endpoints_refuses_at_once(space):
    space.create("services", service("nobody"))
    script = """
import socket, time
began = time.monotonic()
try:
    socket.create_connection(("nobody", 80), timeout=5)
except ConnectionRefusedError:
    print("refused", time.monotonic() - began < 1)
"""
    space.finished("asks", python(script))

    assert space.log("asks") == "refused True\n"


def test_a_name_that_does_not_exist_is_said_not_to_exist(space):
    script = """
import socket
try:
    print(socket.getaddrinfo("nothing.elsewhere.svc.cluster.local", 80))
except socket.gaierror as error:
    print(error.errno == socket.EAI_NONAME)
"""
    space.finished("asks", python(script))

    assert space.log("asks") == "True\n"


def test_an_init_container_with_net_admin_redirects_its_own_pods_traffic_and_no_others(space):
    serving(space, "target")
    rules = (
        "iptables -t nat -A OUTPUT -p tcp --dport 80 -m owner ! --uid-owner 1337 -j REDIRECT --to-ports 15001"
        " && iptables -t nat -S OUTPUT"
    )
    privileges = {"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "runAsUser": 0}
    proxy = python(SERVE.replace("8080", "15001"), name="proxy", securityContext={"runAsUser": 1337})
    proxy["readinessProbe"] = {"tcpSocket": {"port": 15001}, "periodSeconds": 1}
    space.running(
        "captured",
        proxy,
        python("import signal; signal.pause()", name="app"),
        initContainers=[shell(rules, name="rules", securityContext=privileges)],
    )
    space.running("free", python("import signal; signal.pause()"))
    command = [sys.executable, "-c", ASK, "http://target/"]

    captured = space.scene.execute(space.name, "captured", command, container="app")
    as_proxy = space.scene.execute(space.name, "captured", command, container="proxy")
    free = space.scene.execute(space.name, "free", command)

    assert "--uid-owner 1337" in space.log("captured", container="rules")
    assert captured[0].startswith("captured saw "), captured
    assert as_proxy[0].startswith("target-"), as_proxy
    assert free[0].startswith("target-"), free


def test_iptables_without_net_admin_is_refused(space):
    pod = space.finished("weak", shell("iptables -t nat -S 2>&1; echo $?"))

    assert "Permission denied" in space.log("weak"), pod["status"]


def test_the_workload_image_serves_behind_its_service(space):
    probe = {"httpGet": {"path": "/healthz", "port": 18080}, "periodSeconds": 1}
    container = {"name": "app", "image": WORKLOAD, "readinessProbe": probe}
    space.create("deployments", deployment("echo", container, replicas=2), prefix=APPS)

    path = space.path("deployments", "echo", prefix=APPS)
    ready = space.scene.until(path, lambda each: each.get("status", {}).get("readyReplicas") == 2)

    assert ready["status"]["availableReplicas"] == 2


def test_a_changed_template_rolls_out_and_the_old_pods_go(space):
    container = {"name": "app", "image": SHELL, "command": ["/bin/sh", "-c", SLEEP]}
    space.create("deployments", deployment("rolls", container), prefix=APPS)
    path = space.path("deployments", "rolls", prefix=APPS)
    space.scene.until(path, is_available)
    old = space.scene.get(space.path("pods"))["items"][0]["metadata"]["name"]

    patch = {"spec": {"template": {"metadata": {"annotations": {"turn": "2"}}}}}
    space.scene.call("PATCH", path, patch, "application/strategic-merge-patch+json")

    space.scene.until_gone(space.path("pods", old))
    items = space.scene.get(space.path("pods"))["items"]
    assert [pod["metadata"]["annotations"] for pod in items] == [{"turn": "2"}]
    assert all(is_ready(pod) for pod in items)
