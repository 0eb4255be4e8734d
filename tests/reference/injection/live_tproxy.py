"""A pod that is captured by TPROXY runs: inbound traffic goes through its Envoy, and the application sees the client's address.

Needs a cluster: `make injection`, or pytest on this file with the suite's options.
"""

from __future__ import annotations

import sys

SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Caller(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{self.client_address[0]} {self.headers['x-forwarded-client-cert']}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

HTTPServer(("0.0.0.0", 8080), Caller).serve_forever()
"""


def told(mode: str) -> list[dict]:
    """A Deployment and a Service that answer with who called."""
    name = f"caller-{mode.lower()}"
    container = {
        "name": "app",
        "image": "pytest-mesh/workload",
        "command": [sys.executable, "-c", SERVER],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": {"app": name}, "annotations": {"sidecar.istio.io/interceptionMode": mode}},
        "spec": {"containers": [container]},
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
    ]


def test_a_transparent_sidecar_ends_mutual_tls_and_keeps_the_clients_address(mesh_namespace):  # IC18
    for mode in ("REDIRECT", "TPROXY"):
        mesh_namespace.deploy(told(mode))
    client = mesh_namespace.client("tester")
    address = mesh_namespace.pod("tester")["status"]["podIP"]
    for mode, seen in (("REDIRECT", "127.0.0.6"), ("TPROXY", address)):
        body = client.get(f"http://caller-{mode.lower()}").body
        assert body.startswith(f"{seen} "), mode
        assert "/sa/tester" in body, mode
