"""What clients ask before anything else: versions, groups, resources, schemas, health, reviews."""

import pytest


def test_nothing_is_told_without_credentials(api):
    import requests

    for path in ("/healthz", "/livez", "/readyz"):
        assert requests.get(api.url + path, timeout=5).status_code == 401
        assert api.session.get(api.url + path, timeout=5).text == "ok"
    version = api.session.get(api.url + "/version/", timeout=5).json()
    assert (version["major"], version["minor"], version["gitVersion"]) == ("1", "34", "v1.34.4")
    assert requests.get(api.url + "/api/v1/pods", timeout=5).status_code == 401


def test_whoever_is_told_the_issuer_can_check_a_tokens_signature_by_the_published_key(api):
    import base64
    import json

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    def decoded(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    _, told = api.get("/.well-known/openid-configuration")
    (key,) = api.get(told["jwks_uri"].partition("6443")[2])[1]["keys"]
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    api.call("POST", accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "told"}})
    _, answer = api.call("POST", f"{accounts}/told/token", asked)
    head, claims, signature = answer["status"]["token"].split(".")
    assert json.loads(decoded(head))["kid"] == key["kid"]
    assert json.loads(decoded(claims))["iss"] == told["issuer"]
    numbers = ec.EllipticCurvePublicNumbers(
        *(int.from_bytes(decoded(key[axis]), "big") for axis in "xy"), ec.SECP256R1()
    )
    raw = decoded(signature)
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    numbers.public_key().verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))


def test_every_listed_resource_can_be_listed(api, widgets):
    _, groups = api.get("/apis")
    paths = ["/api/v1"] + [f"/apis/{v['groupVersion']}" for group in groups["groups"] for v in group["versions"]]
    listed = 0
    for path in paths:
        status, answer = api.get(path)
        assert status == 200, path
        for resource in answer["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                status, items = api.get(f"{path}/{resource['name']}", limit=1)
                assert (status, items["kind"]) == (200, f"{resource['kind']}List"), resource["name"]
                listed += 1
    assert listed > 30


def test_aggregated_discovery_says_the_same_as_the_old_one(api, widgets):
    accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    _, answer = api.call("GET", "/apis", accept=accept)

    assert answer["kind"] == "APIGroupDiscoveryList"
    found = {
        (item["metadata"]["name"], version["version"]): {each["resource"] for each in version["resources"]}
        for item in answer["items"]
        for version in item["versions"]
    }
    for (group, version), names in found.items():
        _, old = api.get(f"/apis/{group}/{version}")
        assert {each["name"] for each in old["resources"] if "/" not in each["name"]} == names
    assert {version for group, version in found if group == "tests.example"} == {"v1", "v1beta1", "v1alpha3"}


def test_the_preferred_version_of_a_group_is_the_stablest(api, widgets):
    _, groups = api.get("/apis")

    group = next(each for each in groups["groups"] if each["name"] == "tests.example")
    assert group["preferredVersion"]["version"] == "v1"
    assert [each["version"] for each in group["versions"]] == ["v1", "v1beta1", "v1alpha3"]


@pytest.mark.parametrize("path", ["api/v1", "apis/apps/v1", "apis/tests.example/v1"])
def test_schemas_are_served_with_the_parameter_that_kubectl_looks_for(api, widgets, path):
    _, index = api.get("/openapi/v3")
    assert path in index["paths"]

    status, document = api.get(index["paths"][path]["serverRelativeURL"].partition("?")[0])

    assert status == 200
    patches = [entry["patch"] for entry in document["paths"].values() if "patch" in entry]
    assert patches
    for patch in patches:
        assert patch["x-kubernetes-group-version-kind"]["kind"]
        assert "fieldValidation" in {parameter.get("name") for parameter in patch["parameters"]}


def test_the_first_objects_are_there(api):
    _, namespaces = api.get("/api/v1/namespaces")
    names = {item["metadata"]["name"] for item in namespaces["items"]}
    assert {"default", "kube-system", "kube-public", "kube-node-lease"} <= names

    _, service = api.get("/api/v1/namespaces/default/services/kubernetes")
    assert service["spec"]["clusterIP"] == "10.96.0.1"


def test_the_administrator_may_do_everything(api):
    body = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}

    status, answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)

    assert (status, answer["status"]) == (201, {"allowed": True})


def test_a_token_is_requested_and_reviewed(api, space):
    name = space.rpartition("/")[2]
    status, answer = api.post(f"{space}/serviceaccounts/default/token", {"spec": {"audiences": ["istio-ca"]}})
    assert status == 201

    spec = {"token": answer["status"]["token"], "audiences": ["istio-ca"]}
    _, review = api.post("/apis/authentication.k8s.io/v1/tokenreviews", {"spec": spec})

    assert review["status"]["authenticated"] is True
    assert review["status"]["user"]["username"] == f"system:serviceaccount:{name}:default"
