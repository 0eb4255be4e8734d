"""Where a user's documents may come from, and what is refused by name."""

from __future__ import annotations

import pytest

from pytest_mesh.documents import DocumentError
from pytest_mesh.offline import offline
from pytest_mesh.oracle.errors import Malformed, Unsupported

ROUTE = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: more, namespace: shop}}\nspec: {{hosts: [more], http: [{}]}}\n"


def weights(*documents, **options):
    return offline(list(documents) if len(documents) > 1 else documents[0], **options).get("http://reviews").weights


def test_a_folder_a_file_text_data_and_lists_of_them_are_alike(shop, texts):
    expected = {"v1": 80, "v2": 20}
    assert weights(shop) == weights(str(shop)) == expected
    assert weights("manifests", bases=[shop.parent]) == expected
    assert weights(shop / "reviews.yaml", shop / "routes.yaml") == expected
    assert weights(*texts) == weights("\n---\n".join(texts)) == expected


def test_a_mistake_is_told_with_file_object_field_and_rule(shop, tmp_path):
    (tmp_path / "bad.yaml").write_text(ROUTE.format("{route: [{destination: {host: a}, weight: -1}]}"))
    with pytest.raises(
        Malformed, match=r"bad.yaml: VirtualService shop/more: spec.http\[0\].route\[0\].weight: weight -1 < 0 \(W6\)"
    ):
        offline([shop, tmp_path])


def test_a_field_that_is_not_modelled_is_refused_by_its_path(shop):
    with pytest.raises(
        Unsupported, match=r"shop/more: spec.http\[0\].fault.delay.exponentialDelay: the oracle does not"
    ):
        offline([shop, ROUTE.format("{fault: {delay: {exponentialDelay: 1s}}, route: [{destination: {host: a}}]}")])


def test_a_misspelt_field_is_refused(shop):
    with pytest.raises(Unsupported, match=r"spec.http\[0\].rout: the oracle does not know this field"):
        offline([shop, ROUTE.format("{rout: []}")])


@pytest.mark.parametrize(
    ("kind", "group"),
    [
        ("AuthorizationPolicy", "security.istio.io"),
        ("EnvoyFilter", "networking.istio.io"),
        ("HTTPRoute", "gateway.networking.k8s.io"),
        ("NetworkPolicy", "networking.k8s.io"),
        ("Rollout", "argoproj.io"),
    ],
)
def test_a_kind_that_may_change_the_answer_is_refused_unless_it_is_to_be_ignored(shop, kind, group):
    document = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": "x", "namespace": "shop"}}
    with pytest.raises(Unsupported, match=rf"{kind} shop/x: the oracle does not model this kind \({group}/v1\)"):
        offline([shop, document])
    reply = offline([shop, document], ignoring=[kind]).get("http://reviews")
    assert f"{kind} x" in reply.explain()


@pytest.mark.parametrize(
    ("kind", "version"),
    [("HorizontalPodAutoscaler", "autoscaling/v2"), ("ConfigMap", "v1"), ("PodDisruptionBudget", "policy/v1")],
)
def test_a_kind_that_changes_nothing_may_stand_among_them(shop, kind, version):
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}}
    assert weights([shop, document]) == {"v1": 80, "v2": 20}


@pytest.mark.parametrize("name", ["kustomization.yaml", "Chart.yaml"])
def test_what_is_to_be_rendered_first_is_refused(tmp_path, name):
    (tmp_path / name).write_text("resources: []\n")
    with pytest.raises(DocumentError, match=f"{name}: .*`(kustomize build|helm template)`"):
        offline(tmp_path)


def test_a_folder_without_documents_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="no file ends in"):
        offline(tmp_path)


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DocumentError, match=r"nowhere\.yaml"):
        offline("nowhere.yaml", bases=[tmp_path])


def test_text_that_is_no_yaml_is_refused_with_its_file(tmp_path):
    (tmp_path / "x.yaml").write_text("{{ .Values.host }}: [")
    with pytest.raises(DocumentError, match=r"x\.yaml: not YAML"):
        offline(tmp_path)


def test_a_document_that_stands_twice_is_refused_with_both_files(shop, tmp_path):
    (tmp_path / "again.yaml").write_text((shop / "routes.yaml").read_text())
    with pytest.raises(DocumentError, match=r"again\.yaml: DestinationRule reviews stands in routes\.yaml too"):
        offline([shop, tmp_path])


def test_documents_of_several_namespaces_need_the_clients(shop):
    other = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "other"}}
    with pytest.raises(ValueError, match="namespaces other, shop: say from which one"):
        offline([shop, other])
    assert weights([shop, other], namespace="shop") == {"v1": 80, "v2": 20}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (
            "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [{name: http}]}}",
            "Service shop/x: field port is missing",
        ),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {}}",
            "Deployment shop/x: field template is missing",
        ),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {ports: [80]}}",
            "Service shop/x: a field is of another type",
        ),
        (
            "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: x}, spec: {hosts: [x], http: {}}}",
            r"spec\.http: a list is wanted",
        ),
    ],
)
def test_a_document_of_another_shape_is_refused_with_its_name(shop, document, said):
    with pytest.raises(Malformed, match=said):
        offline([shop, document], namespace="shop")
