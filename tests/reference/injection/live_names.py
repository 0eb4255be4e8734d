"""A pod whose names are captured: its own resolver gets the mesh's addresses, and requests to them arrive.

Needs a cluster: `make injection`, or pytest on this file with the suite's options.
"""

from __future__ import annotations

import sys

ASKING = """
import json, socket, sys, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

class Asks(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            found = socket.getaddrinfo(self.path[1:], 80, socket.AF_INET, socket.SOCK_STREAM)
            text = json.dumps(sorted({item[4][0] for item in found}))
        except OSError as error:
            text = json.dumps([str(error)])
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

HTTPServer(("0.0.0.0", 8080), Asks).serve_forever()
"""
ENTRIES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: nowhere}
spec:
  hosts: [reviews.nowhere.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: reviews}}
"""


def asking(name: str, captured: str) -> list[dict]:
    """A Deployment and a Service that answer with the addresses of the name in the path."""
    container = {
        "name": "app",
        "image": "pytest-mesh/workload",
        "command": [sys.executable, "-c", ASKING],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    config = f'proxyMetadata: {{ISTIO_META_DNS_CAPTURE: "{captured}"}}'
    template = {
        "metadata": {"labels": {"app": name}, "annotations": {"proxy.istio.io/config": config}},
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


def test_a_pods_own_resolver_gets_the_meshs_addresses_where_names_are_captured(mesh_namespace):  # IC19
    mesh_namespace.stand_in("reviews")
    mesh_namespace.apply(ENTRIES)
    for name, captured in (("asks", "true"), ("plain", "false")):
        mesh_namespace.deploy(asking(name, captured))
    client = mesh_namespace.client("tester")

    def found(pod: str, name: str) -> list[str]:
        import json

        return json.loads(client.get(f"http://{pod}/{name}").body)

    [address] = mesh_namespace.eventually(
        lambda: (got := found("asks", "reviews.nowhere.example")) and got[0].startswith("240.240.") and got,
        "an address of the mesh's own for a host that DNS does not know",
    )
    assert not found("plain", "reviews.nowhere.example")[0][0].isdigit()
    [service] = found("plain", f"reviews.{mesh_namespace.name}.svc.cluster.local")
    for name in ("reviews", f"reviews.{mesh_namespace.name}", f"reviews.{mesh_namespace.name}.svc.cluster.local"):
        assert found("asks", name) == [service], name
    assert address != service
    assert not found("asks", "nobody.nowhere.example")[0][0].isdigit()
