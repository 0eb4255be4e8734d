"""Documents from a cluster's objects."""

from __future__ import annotations

import pytest

from pytest_mesh import documents
from pytest_mesh.kube import KubeError, Resource
from pytest_mesh.offline import cluster, offline
from pytest_mesh.offline.fixture import OfflineFixture
from pytest_mesh.oracle.errors import Unsupported

PLURALS = {one.name: f"{one.name.lower()}s" for one in cluster.KINDS} | {"ConfigMap": "configmaps"}


class FakeKube:
    """An API server that serves some kinds; objects come without apiVersion and kind, as in a list."""

    def __init__(self, objects, *, mesh: str | None, served, versions) -> None:
        self._versions = versions
        self._objects = objects
        self._mesh = mesh
        self._served = served

    def resource(self, api_version, kind):
        group, _, version = api_version.rpartition("/")
        if kind not in self._served or ("." in group and version not in self._versions):
            raise KubeError(404, "NotFound", f"the API server does not serve {kind}", "discovery")
        return Resource(prefix=f"/apis/{api_version}", plural=PLURALS[kind], namespaced=True)

    def list(self, path):
        *_, plural = path.split("/")
        found = [one for one in self._objects if PLURALS[one["kind"]] == plural]
        parts = path.split("/")
        if "namespaces" in parts:
            found = [one for one in found if one["metadata"]["namespace"] == parts[parts.index("namespaces") + 1]]
        return [{key: value for key, value in one.items() if key not in {"apiVersion", "kind"}} for one in found]

    def find(self, _):
        return None if self._mesh is None else {"data": {"mesh": self._mesh}}


@pytest.fixture
def reading(monkeypatch, shop):
    def read(*namespaces, more=(), mesh=None, served=(*PLURALS,), versions=("v1", "v1alpha1"), **options):
        objects = [
            one for path in sorted(shop.iterdir()) for one in documents.read(path) if one["kind"] != "Deployment"
        ]
        for version, ready in (("v1", "True"), ("v2", "True"), ("v3", "False")):
            objects.append(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": f"reviews-{version}-x",
                        "namespace": "shop",
                        "labels": {"app": "reviews", "version": version},
                    },
                    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
                }
            )
        fake = FakeKube([*objects, *more], mesh=mesh, served=served, versions=versions)
        monkeypatch.setattr(cluster.Kube, "load", lambda *_: fake)
        return OfflineFixture([shop]).cluster(*namespaces, **options)

    return read


def test_a_clusters_objects_answer_as_its_documents_do(reading):
    reply = reading("shop").get("http://reviews")
    assert reply.weights == {"v1": 80, "v2": 20}
    assert "cluster: VirtualService shop/reviews" in reply.explain()


def test_pods_that_are_not_ready_do_not_answer(reading):
    reply = reading("shop").client(namespace="shop").get("http://reviews.shop/", headers={"x-version": "v2"})
    assert reply.workloads == ("reviews-v2-x",)


def test_a_cluster_without_some_kinds_is_read(reading):
    mesh = reading("shop", served=("Service", "Pod", "VirtualService", "DestinationRule", "ConfigMap"))
    assert mesh.get("http://reviews").weights == {"v1": 80, "v2": 20}


def test_the_mesh_configuration_says_what_becomes_of_unknown_hosts(reading):
    assert reading("shop", mesh="outboundTrafficPolicy: {mode: REGISTRY_ONLY}").get("http://x.test").status == 502
    assert reading("shop", mesh="{}").get("http://x.test").by == "outside"


def test_a_mesh_configuration_that_is_not_modelled_is_refused_by_name(reading):
    with pytest.raises(Unsupported, match="ConfigMap istio-system/istio: mesh: defaultVirtualServiceExportTo"):
        reading("shop", mesh="defaultVirtualServiceExportTo: ['.']")


def test_a_policy_of_the_cluster_is_refused_unless_it_is_to_be_ignored(reading):
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "p", "namespace": "shop"},
    }
    with pytest.raises(Unsupported, match="cluster: AuthorizationPolicy shop/p"):
        reading("shop", more=[policy])
    assert reading("shop", more=[policy], ignoring=["AuthorizationPolicy"]).get("http://reviews").status == 200


def test_the_clusters_own_namespaces_are_left_out(reading):
    system = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "dns", "namespace": "kube-system"},
        "spec": {},
    }
    assert reading(more=[system]).get("http://reviews").weights == {"v1": 80, "v2": 20}


REFUSED = [
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("networking.istio.io/v1", "WorkloadEntry"),
    ("networking.istio.io/v1", "WorkloadGroup"),
    ("extensions.istio.io/v1alpha1", "WasmPlugin"),
    *(("gateway.networking.k8s.io/v1", f"{name}Route") for name in ("HTTP", "GRPC", "TCP", "TLS", "UDP")),
    ("gateway.networking.k8s.io/v1", "Gateway"),
]


@pytest.mark.parametrize(("api_version", "kind"), REFUSED, ids=[kind for _, kind in REFUSED])
def test_what_files_refuse_a_cluster_refuses_too(reading, shop, api_version, kind):
    one = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": {}}
    with pytest.raises(Unsupported, match=f"{kind} shop/x: the oracle does not model this kind"):
        offline([shop, one])
    with pytest.raises(Unsupported, match=f"cluster: {kind} shop/x: the oracle does not model this kind"):
        reading("shop", more=[one])


def test_an_older_version_is_read_where_the_api_serves_no_newer_one(reading):
    assert reading("shop", versions=("v1beta1",)).get("http://reviews").weights == {"v1": 80, "v2": 20}


def of_the_root(kind, spec, *, namespace="istio-system", group="networking.istio.io/v1"):
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "all", "namespace": namespace}, "spec": spec}


def test_what_the_root_namespace_says_of_the_whole_mesh_counts_for_one_namespace(reading):
    only = {"egress": [{"hosts": ["istio-system/*"]}], "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}
    assert reading("shop", more=[of_the_root("Sidecar", only)]).get("http://reviews").by == "proxy"
    elsewhere = of_the_root("Sidecar", only, namespace="mesh-root")
    assert reading("shop", more=[elsewhere]).get("http://reviews").weights == {"v1": 80, "v2": 20}
    assert reading("shop", more=[elsewhere], root_namespace="mesh-root").get("http://reviews").by == "proxy"


def test_a_filter_of_the_root_namespace_is_refused_by_name(reading):
    with pytest.raises(Unsupported, match="EnvoyFilter istio-system/all"):
        reading("shop", more=[of_the_root("EnvoyFilter", {})])


def test_a_policy_of_networks_in_the_root_namespace_is_for_its_own_pods(reading):
    policy = of_the_root("NetworkPolicy", {}, group="networking.k8s.io/v1")
    assert reading("shop", more=[policy]).get("http://reviews").weights == {"v1": 80, "v2": 20}
    with pytest.raises(Unsupported, match="NetworkPolicy istio-system/all"):
        reading("shop", "istio-system", more=[policy], namespace="shop")
