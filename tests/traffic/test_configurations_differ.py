"""What a change did to a proxy's configuration: a diff by resource, kept from before each change for a failure's evidence."""

from __future__ import annotations

import json
import stat

from hypothesis import given
from hypothesis import strategies as st

from pytest_mesh.contracts import Implementation
from pytest_mesh.namespace import MeshNamespace
from pytest_mesh.record import Record
from pytest_mesh.report import bundle
from pytest_mesh.settings import MeshSettings
from pytest_mesh.traffic.configuration import difference, resources

TYPE = "type.googleapis.com/envoy.admin.v3."


def dump(*weights, cluster="outbound|80|v1|reviews", at="2026-01-01T00:00:00Z", key="-----BEGIN PRIVATE KEY-----\nk"):
    clusters = [{"name": f"v{number}", "weight": weight} for number, weight in enumerate(weights, 1)]
    routes = [{"name": "reviews", "route": {"weighted_clusters": {"clusters": clusters}}}]
    return {
        "configs": [
            {"@type": f"{TYPE}BootstrapConfigDump", "bootstrap": {"node": {"id": at}}},
            {
                "@type": f"{TYPE}ClustersConfigDump",
                "version_info": at,
                "dynamic_active_clusters": [{"version_info": at, "cluster": {"name": cluster}, "last_updated": at}],
            },
            {
                "@type": f"{TYPE}RoutesConfigDump",
                "dynamic_route_configs": [
                    {"route_config": {"name": "80", "virtual_hosts": [{"name": "reviews", "routes": routes}]}}
                ],
            },
            {"@type": f"{TYPE}SecretsConfigDump", "dynamic_active_secrets": [{"name": "default", "secret": key}]},
        ]
    }


def test_a_changed_weight_is_shown_with_its_route():
    found = difference(dump(80, 20), dump(75, 25))

    assert found.startswith("--- before/Routes 80\n+++ after/Routes 80\n@@")
    assert '-          "weight": 80' in found
    assert '+          "weight": 75' in found
    assert "Clusters" not in found


def test_a_resource_that_comes_or_goes_is_named():
    found = difference(dump(80, 20), dump(80, 20, cluster="outbound|80|v2|reviews"))

    assert "--- before/Clusters outbound|80|v1|reviews\n+++ /dev/null\n" in found
    assert "--- /dev/null\n+++ after/Clusters outbound|80|v2|reviews\n" in found


@given(st.lists(st.integers(0, 100), min_size=1, max_size=4), st.text(max_size=5), st.text(max_size=5))
def test_times_versions_and_secrets_are_no_difference(weights, at, key):
    assert difference(dump(*weights), dump(*weights, at=at, key=key)) == ""


def test_nothing_of_the_secrets_or_the_bootstrap_is_shown():
    assert list(resources(dump(80, 20))) == ["Clusters outbound|80|v1|reviews", "Routes 80"]


def test_the_order_of_endpoints_says_nothing():
    def endpoints(*addresses):
        found = [{"endpoint": {"address": one}} for one in addresses]
        config = {"cluster_name": "c", "endpoints": [{"lb_endpoints": found}]}
        return {"configs": [{"@type": f"{TYPE}EndpointsConfigDump", "dynamic_endpoint_configs": [{"e": config}]}]}

    assert difference(endpoints("10.0.0.1", "10.0.0.2"), endpoints("10.0.0.2", "10.0.0.1")) == ""
    assert "before/Endpoints c" in difference(endpoints("10.0.0.1"), endpoints("10.0.0.2"))


class FakeKube:
    """A namespace with one meshed pod, whose proxy takes over weights as they are applied."""

    tenancy = None

    def __init__(self):
        self.weights = (100, 0)

    def list(self, path, **_):
        if not path.endswith("/pods"):
            return []
        status = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [
            {
                "kind": "Pod",
                "metadata": {"name": "tester-0"},
                "spec": {"containers": [{"name": "istio-proxy"}]},
                "status": status,
            }
        ]

    def forwarded_get(self, _namespace, _pod, port, path):
        assert (port, path) == (15000, "/config_dump?include_eds")
        return json.dumps(dump(*self.weights)).encode()

    def apply(self, document, **_):
        self.weights = [one["weight"] for one in document["spec"]["http"][0]["route"]]
        return document

    def logs(self, *_):
        return "a log\n"


def test_the_evidence_of_a_failure_has_what_the_last_change_changed(tmp_path):
    namespace = MeshNamespace(
        "shop",
        cluster=None,
        kube=FakeKube(),
        implementation=Implementation(name="m", proxy_container="istio-proxy", admin_port=15000, convergence_seconds=2),
        settings=MeshSettings(settle_seconds=0.1),
        record=Record(),
    )
    assert namespace.changes("tester-0") == ""  # nothing was applied yet
    for weights in ((80, 20), (75, 25)):
        routes = [{"destination": {"host": "reviews"}, "weight": weight} for weight in weights]
        namespace.apply(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "reviews"},
                "spec": {"hosts": ["reviews"], "http": [{"route": routes}]},
            }
        )

    directory = bundle.save(tmp_path, "t.py::test_it", "failed", [namespace])

    path = directory / "shop" / "tester-0-config-diff.txt"
    assert '-          "weight": 80' in path.read_text()
    assert '+          "weight": 75' in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "PRIVATE KEY" not in "".join(one.read_text() for one in directory.rglob("*") if one.is_file())
