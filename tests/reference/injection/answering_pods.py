"""A Deployment and its Service whose one container is a few lines of Python that answer GET on port 8080."""

from __future__ import annotations

import sys
from collections.abc import Mapping

SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer

{source}

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        text = answer(self).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

HTTPServer(("0.0.0.0", 8080), Answers).serve_forever()
"""


def answering(name: str, source: str, annotations: Mapping[str, str]) -> list[dict]:
    """Give both; ``source`` defines ``answer(request) -> str``, the annotations are the pod's."""
    container = {
        "name": "app",
        "image": "pytest-mesh/workload",
        "command": [sys.executable, "-c", SERVER.replace("{source}", source)],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": {"app": name}, "annotations": dict(annotations)},
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
