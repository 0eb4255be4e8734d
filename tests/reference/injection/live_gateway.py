"""A pod of the template ``gateway`` runs: istio-proxy is injected, gets its Gateway's listener and routes to a Service.

Needs a cluster: `make injection`, or pytest on this file with the suite's options.
"""

from __future__ import annotations

GATEWAY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec:
  selector: {matchLabels: {istio: edge}}
  template:
    metadata:
      labels: {istio: edge, app: edge}
      annotations: {inject.istio.io/templates: gateway}
    spec:
      containers:
      - {name: istio-proxy, image: auto}
---
apiVersion: v1
kind: Service
metadata: {name: edge}
spec: {selector: {istio: edge}, ports: [{name: http, port: 80, targetPort: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: edge}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["reviews.example.com"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews.example.com]
  gateways: [edge]
  http: [{route: [{destination: {host: reviews}}]}]
"""


def test_a_gateways_pod_is_injected_and_answers_for_its_gateway(mesh_namespace):  # IM3
    mesh_namespace.stand_in("reviews")
    mesh_namespace.deploy(GATEWAY)
    [pod] = mesh_namespace.pods(istio="edge")
    [container] = pod["spec"]["containers"]
    assert container["args"][:2] == ["proxy", "router"]
    assert not pod["spec"].get("initContainers")
    client = mesh_namespace.client("tester", inject=False)
    answer = mesh_namespace.eventually(
        lambda: (got := client.get("http://edge", headers={"Host": "reviews.example.com"})).status == 200 and got,
        "the gateway's answer",
    )
    assert answer.version == "v1"
    assert answer.peer.spiffe_id.endswith(f"/ns/{mesh_namespace.name}/sa/default")
    assert client.get("http://edge", headers={"Host": "other.example.com"}).status == 404
