"""A pod whose names are captured: its own resolver gets the mesh's addresses, and requests to them arrive.

Needs a cluster: `make injection`, or pytest on this file with the suite's options.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from answering_pods import answering

ADDRESSES = """
import json, socket

def answer(request):
    try:
        found = socket.getaddrinfo(request.path[1:], 80, socket.AF_INET, socket.SOCK_STREAM)
        return json.dumps(sorted({item[4][0] for item in found}))
    except OSError as error:
        return json.dumps([str(error)])
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
    config = f'proxyMetadata: {{ISTIO_META_DNS_CAPTURE: "{captured}"}}'
    return answering(name, ADDRESSES, {"proxy.istio.io/config": config})


def test_a_pods_own_resolver_gets_the_meshs_addresses_where_names_are_captured(mesh_namespace):  # IC19
    mesh_namespace.stand_in("reviews")
    mesh_namespace.apply(ENTRIES)
    for name, captured in (("asks", "true"), ("plain", "false")):
        mesh_namespace.deploy(asking(name, captured))
    client = mesh_namespace.client("tester")

    def found(pod: str, name: str) -> list[str]:
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
