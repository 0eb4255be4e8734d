"""A pod that is captured by TPROXY runs: inbound traffic goes through its Envoy, and the application sees the client's address.

Needs a cluster: `make injection`, or pytest on this file with the suite's options.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from answering_pods import answering

CALLER = """
def answer(request):
    return f"{request.client_address[0]} {request.headers['x-forwarded-client-cert']}"
"""


def told(mode: str) -> list[dict]:
    """A Deployment and a Service that answer with who called."""
    return answering(f"caller-{mode.lower()}", CALLER, {"sidecar.istio.io/interceptionMode": mode})


def test_a_transparent_sidecar_ends_mutual_tls_and_keeps_the_clients_address(mesh_namespace):  # IC18
    for mode in ("REDIRECT", "TPROXY"):
        mesh_namespace.deploy(told(mode))
    client = mesh_namespace.client("tester")
    address = mesh_namespace.pod("tester")["status"]["podIP"]
    for mode, seen in (("REDIRECT", "127.0.0.6"), ("TPROXY", address)):
        body = client.get(f"http://caller-{mode.lower()}").body
        assert body.startswith(f"{seen} "), mode
        assert "/sa/tester" in body, mode
