"""Documents from a cluster's objects."""

from __future__ import annotations

import pytest

from pytest_mesh import documents
from pytest_mesh.kube import KubeError, Resource
from pytest_mesh.offline import cluster
from pytest_mesh.offline.fixture import OfflineFixture
from pytest_mesh.oracle.errors import Unsupported

PLURALS = {kind: f"{kind.lower()}s" for _, kind, _ in cluster.KINDS} | {"ConfigMap": "configmaps"}


class FakeKube:
    """An API server that serves some kinds; objects come without apiVersion and kind, as in a list."""

    def __init__(self, objects, *, mesh: str | None, served) -> None:
        self._objects = objects
        self._mesh = mesh
        self._served = served

    def resource(self, api_version, kind):
        if kind not in self._served:
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
    def read(*namespaces, more=(), mesh=None, served=(*PLURALS,), **options):
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
        fake = FakeKube([*objects, *more], mesh=mesh, served=served)
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
