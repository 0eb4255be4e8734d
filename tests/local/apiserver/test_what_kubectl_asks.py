"""What kubectl's commands need of the server beyond the API's calls: documents, upgrades of an apply, generations, cells."""

import json

OPENAPI2 = "application/com.github.proto-openapi.spec.v2"
KUBECTL = "kubectl.kubernetes.io/last-applied-configuration"


def fields(data):
    """Read a protobuf message whose fields are all of wire type 2, as [(number, bytes)]."""
    found, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key, size = varint(), varint()
        assert key & 7 == 2
        found.append((key >> 3, data[at : at + size]))
        at += size
    return found


def test_openapi_2_is_given_as_the_message_that_kubectl_asks_for(api):
    answer = api.session.get(api.url + "/openapi/v2", headers={"Accept": f"{OPENAPI2}@v1.0+protobuf"}, timeout=10)

    assert answer.headers["Content-Type"] == f"{OPENAPI2}.v1.0+protobuf"
    document = dict(fields(answer.content))
    assert document[1] == b"2.0"
    named = {dict(fields(one))[1].decode(): dict(fields(one))[2] for _, one in fields(document[9])}
    assert "io.k8s.api.core.v1.Pod" in named
    extensions = [dict(fields(one)) for number, one in fields(named["io.k8s.api.core.v1.Pod"]) if number == 31]
    kinds = {one[1]: dict(fields(one[2]))[2] for one in extensions}[b"x-kubernetes-group-version-kind"]
    assert json.loads(kinds) == [{"group": "", "version": "v1", "kind": "Pod"}]


def test_no_reference_of_the_documents_leads_nowhere(api, widgets):
    _, found = api.get("/openapi/v2")
    for part in json.dumps(found["definitions"]).split('"#/definitions/')[1:]:
        assert part.partition('"')[0] in found["definitions"]
    _, found = api.get("/openapi/v3/apis/apps/v1")
    for part in json.dumps(found).split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in found["components"]["schemas"]


def test_schemas_say_what_their_fields_are_for(api):
    schemas = api.get("/openapi/v3/apis/apps/v1")[1]["components"]["schemas"]

    assert schemas["io.k8s.api.apps.v1.Deployment"]["description"].startswith("Deployment enables declarative updates")
    kind = schemas["io.k8s.api.apps.v1.DeploymentStrategy"]["properties"]["type"]
    assert kind["enum"] == ["Recreate", "RollingUpdate"]
    assert kind["description"].startswith("Type of deployment")


def test_kubectls_apply_on_the_server_takes_over_what_its_apply_on_the_client_wrote(api, space):
    path = f"{space}/configmaps/one"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    annotated = {**body, "metadata": {"name": "one", "annotations": {KUBECTL: json.dumps(body)}}}
    api.post(f"{space}/configmaps", annotated, fieldManager="kubectl-client-side-apply")
    changed = {**body, "data": {"a": "2"}}

    assert api.apply(path, changed, manager="other")[0] == 409
    status, answer = api.apply(path, changed, manager="kubectl")

    assert (status, answer["data"]) == (200, {"a": "2"})
    assert json.loads(answer["metadata"]["annotations"][KUBECTL])["data"] == {"a": "2"}


def test_what_somebody_changed_since_the_apply_on_the_client_is_a_conflict_for_kubectl_too(api, space):
    path = f"{space}/configmaps/one"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"a": "1"}}
    annotated = {**body, "metadata": {"name": "one", "annotations": {KUBECTL: json.dumps(body)}}}
    api.post(f"{space}/configmaps", annotated, fieldManager="kubectl-client-side-apply")
    api.merge(path, {"data": {"a": "changed"}}, fieldManager="somebody")

    assert api.apply(path, {**body, "data": {"a": "2"}}, manager="kubectl")[0] == 409


def test_an_annotation_written_with_the_status_is_no_new_generation(api, apps):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    _, made = api.post(f"{apps}/deployments", body)
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}

    _, written = api.put(f"{apps}/deployments/web/status", made)
    assert written["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    assert written["metadata"]["generation"] == 1

    _, noted = api.merge(f"{apps}/deployments/web", {"metadata": {"annotations": {"note": "x"}}})
    assert noted["metadata"]["generation"] == 2


def test_a_limit_is_a_request_in_a_pod_and_not_in_a_template(api, space, apps):
    api.post(f"{space}/serviceaccounts", {"metadata": {"name": "default"}})
    container = {"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "limited"}, "spec": spec}

    _, made = api.post(f"{apps}/deployments", body)
    assert made["spec"]["template"]["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}}
    _, pod = api.post(f"{space}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [container]}})
    assert pod["spec"]["containers"][0]["resources"] == {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}


def test_an_eviction_on_trial_evicts_nothing(api, space):
    api.post(f"{space}/serviceaccounts", {"metadata": {"name": "default"}})
    api.post(f"{space}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    eviction = {"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["All"]}}

    assert api.post(f"{space}/pods/p/eviction", eviction)[0] == 201
    assert "deletionTimestamp" not in api.get(f"{space}/pods/p")[1]["metadata"]


def test_a_definition_has_its_finalizer_from_its_deletion_on(api, widgets):
    _, found = api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")

    assert all("finalizers" not in one["metadata"] for one in found["items"])


def test_a_table_of_bindings_names_the_role_and_whom_it_is_given(api, space):
    rbac = space.replace("/api/v1", "/apis/rbac.authorization.k8s.io/v1")
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
    subjects = [
        {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ann"},
        {"kind": "ServiceAccount", "name": "robot", "namespace": "home"},
    ]
    api.post(f"{rbac}/rolebindings", {"metadata": {"name": "b"}, "roleRef": role, "subjects": subjects})

    _, table = api.call(
        "GET", f"{rbac}/rolebindings", accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    )

    cells = table["rows"][0]["cells"]
    assert [cells[0], cells[1], *cells[3:]] == ["b", "ClusterRole/view", "ann", "", "home/robot"]


def test_health_is_told_at_length_where_that_is_asked(api):
    assert api.session.get(api.url + "/livez?verbose", timeout=5).text == "[+]ping ok\nlivez check passed\n"
