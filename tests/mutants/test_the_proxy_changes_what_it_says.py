"""The mutating proxy: each xDS mutant changes what it says in both forms of routes, and manifests get the proxy before them."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf import any_pb2, text_format

sys.path.insert(0, str(Path(__file__).parent / "proxy"))

import changes
import manifests

HOST = """
name: "reviews" domains: "reviews"
routes {
  match { path: "/a" headers { name: "x-a" string_match { exact: "1" } } }
  route { weighted_clusters { clusters { name: "a" weight { value: 80 } } clusters { name: "b" weight { value: 20 } } } }
}
"""


def host():
    return text_format.Parse(HOST, route_components_pb2.VirtualHost())


def passed(mutant, message):
    """Give a resource as it is behind the proxy."""
    packed = any_pb2.Any()
    packed.Pack(message)
    changes.changed(mutant, packed)
    out = type(message)()
    packed.Unpack(out)
    return out


@pytest.mark.parametrize("whole", [True, False], ids=["RouteConfiguration", "VirtualHost"])
@pytest.mark.parametrize("mutant", ["px-weights-all-equal", "px-match-headers-dropped", "px-unmatched-served"])
def test_routes_are_changed_in_either_form(mutant, whole):
    plain = route_pb2.RouteConfiguration(name="80", virtual_hosts=[host()]) if whole else host()
    made = passed(mutant, plain)
    (one,) = made.virtual_hosts if whole else [made]

    assert passed("nothing", plain) == plain
    assert [branch.weight.value for branch in one.routes[0].route.weighted_clusters.clusters] == (
        [100, 100] if mutant == "px-weights-all-equal" else [80, 20]
    )
    assert len(one.routes[0].match.headers) == (0 if mutant == "px-match-headers-dropped" else 1)
    assert len(one.routes) == (2 if mutant == "px-unmatched-served" else 1)


def test_a_subsets_endpoints_become_its_services():
    cluster = cluster_pb2.Cluster(name="outbound|80|v1|reviews.shop.svc.cluster.local")
    cluster.eds_cluster_config.service_name = cluster.name

    made = passed("px-subsets-are-whole", cluster)

    assert made.eds_cluster_config.service_name == "outbound|80||reviews.shop.svc.cluster.local"
    assert made.name == cluster.name


def test_webhooks_answers_are_changed():
    refused = {"response": {"uid": "u", "allowed": False, "status": {"message": "no"}}}
    patch = base64.b64encode(json.dumps([{"op": "add", "path": "/spec/x", "value": 1}]).encode()).decode()
    injected = {"response": {"uid": "u", "allowed": True, "patch": patch, "patchType": "JSONPatch"}}

    assert changes.admission("px-galley-says-yes", "/validate", refused)["response"] == {"uid": "u", "allowed": True}
    assert changes.admission("px-galley-says-yes", "/inject", injected) == injected
    assert "patch" not in changes.admission("px-nothing-injected", "/inject", injected)["response"]
    longer = changes.admission("px-grace-period-changed", "/inject", injected)["response"]["patch"]
    assert json.loads(base64.b64decode(longer))[-1]["path"] == "/spec/terminationGracePeriodSeconds"


def service(name, port):
    spec = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "mesh"}, "spec": spec}


def test_the_control_planes_service_leads_to_the_proxy_and_another_one_behind_it():
    found = manifests.with_proxy([service("istiod", 15012), service("other", 80)], "nothing", "mesh/ca")
    services = {one["metadata"]["name"]: one["spec"]["selector"] for one in found if one["kind"] == "Service"}

    assert services == {
        "istiod": {"app": "mesh-mutants"},
        "istiod-behind": {"app": "istiod"},
        "other": {"app": "other"},
    }
    (deployment,) = [one for one in found if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["nothing", "mesh/ca", "istiod-behind.mesh.svc", "15012:15012"]


@pytest.mark.parametrize("number", [0, 2])
def test_a_control_plane_that_cannot_be_told_is_refused(number):
    with pytest.raises(LookupError, match="one Service with port 15012 is wanted"):
        manifests.with_proxy([service(f"istiod-{index}", 15012) for index in range(number)], "nothing", "mesh/ca")
