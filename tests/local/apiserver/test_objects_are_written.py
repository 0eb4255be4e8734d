"""Create, read, update, patch, delete: what each does and refuses."""

import re

import pytest


def config_map(name="one", data=None, **metadata):
    return {"metadata": {"name": name, **metadata}, "data": data or {"a": "1"}}


def pod(name="web", **spec):
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": "x"}], **spec}}


def service(name="web", **spec):
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}, **spec}}


def deployment(name="web", **container):
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "x", **container}]},
    }
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}}


def test_a_created_object_is_read_back_with_what_the_server_says_of_it(api, space):
    status, made = api.post(f"{space}/configmaps", config_map())

    assert status == 201
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")
    assert re.fullmatch(r"[0-9a-f-]{36}", made["metadata"]["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["metadata"]["creationTimestamp"])
    assert made["metadata"]["resourceVersion"].isdigit()
    assert api.get(f"{space}/configmaps/one") == (200, made)


def test_an_object_that_is_not_there_is_a_404_status(api, space):
    status, answer = api.get(f"{space}/configmaps/none")

    assert status == 404
    assert answer == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "none" not found',
        "reason": "NotFound",
        "details": {"name": "none", "kind": "configmaps"},
        "code": 404,
    }


def test_a_second_create_is_a_409_already_exists(api, space):
    api.post(f"{space}/configmaps", config_map())

    status, answer = api.post(f"{space}/configmaps", config_map())

    assert (status, answer["reason"]) == (409, "AlreadyExists")
    assert answer["message"] == 'configmaps "one" already exists'


def test_an_update_against_an_older_version_is_a_409_conflict_and_changes_nothing(api, space):
    _, first = api.post(f"{space}/configmaps", config_map())
    status, second = api.put(f"{space}/configmaps/one", {**first, "data": {"a": "2"}})
    assert status == 200
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])

    status, answer = api.put(f"{space}/configmaps/one", {**first, "data": {"a": "3"}})

    assert (status, answer["reason"]) == (409, "Conflict")
    assert "the object has been modified; please apply your changes to the latest version" in answer["message"]
    assert api.get(f"{space}/configmaps/one")[1]["data"] == {"a": "2"}


def test_an_update_that_changes_nothing_keeps_the_version(api, space):
    _, first = api.post(f"{space}/configmaps", config_map())

    _, second = api.put(f"{space}/configmaps/one", first)

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_an_update_cannot_change_uid_or_name(api, space):
    _, first = api.post(f"{space}/configmaps", config_map())
    other_uid = {**first, "metadata": {**first["metadata"], "uid": "another"}}
    other_name = {**first, "metadata": {**first["metadata"], "name": "another"}}

    assert api.put(f"{space}/configmaps/one", other_uid)[0] == 409
    assert api.put(f"{space}/configmaps/one", other_name)[0] == 400


def test_generate_name_makes_a_new_name_each_time(api, space):
    body = {"metadata": {"generateName": "pre-"}}

    names = {api.post(f"{space}/configmaps", body)[1]["metadata"]["name"] for _ in range(20)}

    assert len(names) == 20
    assert all(re.fullmatch(r"pre-[a-z0-9]{5}", name) for name in names)


def test_a_dry_run_answers_and_stores_nothing(api, space):
    status, answer = api.post(f"{space}/configmaps", config_map(), dryRun="All")
    assert status == 201
    assert answer["metadata"]["uid"]
    assert api.get(f"{space}/configmaps/one")[0] == 404

    api.post(f"{space}/configmaps", config_map())
    assert api.merge(f"{space}/configmaps/one", {"data": {"a": "2"}}, dryRun="All")[1]["data"] == {"a": "2"}
    assert api.delete(f"{space}/configmaps/one", dryRun="All")[0] == 200
    assert api.get(f"{space}/configmaps/one")[1]["data"] == {"a": "1"}
    assert api.post(f"{space}/configmaps", config_map("two"), dryRun="Some")[0] == 422


def test_status_and_spec_are_written_apart(api, apps):
    _, made = api.post(f"{apps}/deployments", {**deployment(), "status": {"replicas": 9}})
    assert made["status"].get("replicas") is None

    _, answer = api.merge(f"{apps}/deployments/web/status", {"status": {"replicas": 3}, "spec": {"replicas": 7}})
    assert (answer["status"]["replicas"], answer["spec"]["replicas"]) == (3, 1)

    _, answer = api.merge(f"{apps}/deployments/web", {"status": {"replicas": 5}, "spec": {"replicas": 2}})
    assert (answer["status"]["replicas"], answer["spec"]["replicas"]) == (3, 2)


def test_the_generation_counts_changes_of_what_is_asked_for(api, apps):
    _, made = api.post(f"{apps}/deployments", deployment())
    _, labelled = api.merge(f"{apps}/deployments/web", {"metadata": {"labels": {"x": "y"}}})
    _, scaled = api.merge(f"{apps}/deployments/web", {"spec": {"replicas": 4}})
    _, reported = api.merge(f"{apps}/deployments/web/status", {"status": {"replicas": 4}})

    assert [each["metadata"]["generation"] for each in (made, labelled, scaled, reported)] == [1, 1, 2, 2]


def test_the_scale_subresource_reads_and_writes_the_replicas(api, apps):
    api.post(f"{apps}/deployments", deployment())

    _, before = api.get(f"{apps}/deployments/web/scale")
    status, after = api.merge(f"{apps}/deployments/web/scale", {"spec": {"replicas": 5}})

    assert (before["kind"], before["spec"]["replicas"], before["status"]["selector"]) == ("Scale", 1, "app=web")
    assert (status, after["spec"]["replicas"]) == (200, 5)
    assert api.get(f"{apps}/deployments/web")[1]["spec"]["replicas"] == 5


def test_services_get_an_address_that_is_kept_and_freed(api, space):
    _, first = api.post(f"{space}/services", service())
    address = first["spec"]["clusterIP"]
    assert address.startswith("10.96.")
    assert first["spec"]["clusterIPs"] == [address]

    _, updated = api.merge(f"{space}/services/web", {"spec": {"ports": [{"port": 81}]}})
    assert updated["spec"]["clusterIP"] == address
    status, answer = api.post(f"{space}/services", service("thief", clusterIP=address))
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "spec.clusterIPs" in answer["message"]

    api.delete(f"{space}/services/web")
    assert api.post(f"{space}/services", service("heir", clusterIP=address))[0] == 201


def test_a_headless_service_gets_no_address(api, space):
    _, made = api.post(f"{space}/services", service(clusterIP="None"))

    assert made["spec"]["clusterIP"] == "None"


def test_defaults_are_those_of_kubernetes(api, space):
    _, made = api.post(f"{space}/pods", pod())

    spec = made["spec"]
    assert (spec["restartPolicy"], spec["dnsPolicy"], spec["terminationGracePeriodSeconds"]) == (
        "Always",
        "ClusterFirst",
        30,
    )
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    assert spec["serviceAccountName"] == "default"
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_every_fault_of_an_object_is_named_by_its_field(api, space):
    body = {"metadata": {"name": "Not_A_Name"}, "spec": {"ports": [{"port": 70000}, {"port": 80}]}}

    status, answer = api.post(f"{space}/services", body)

    assert (status, answer["reason"]) == (422, "Invalid")
    fields = {cause["field"] for cause in answer["details"]["causes"]}
    assert fields >= {"metadata.name", "spec.ports[0].port", "spec.ports[0].name", "spec.ports[1].name"}


def test_a_wrong_type_is_a_400_that_names_the_field(api, space):
    body = pod()
    body["spec"]["containers"][0]["ports"] = [{"containerPort": "eighty"}]

    status, answer = api.post(f"{space}/pods", body)

    assert (status, answer["reason"]) == (400, "BadRequest")
    assert "containerPort" in answer["message"]


def test_strict_validation_names_the_unknown_field_and_warn_warns(api, space):
    body = pod()
    body["spec"]["containers"][0]["imagee"] = "y"

    status, answer = api.post(f"{space}/pods", body, fieldValidation="Strict")
    assert status == 400
    assert 'unknown field "spec.containers[0].imagee"' in answer["message"]

    status, answer = api.post(f"{space}/pods", body)
    assert status == 201
    assert "imagee" not in answer["spec"]["containers"][0]
    assert 'unknown field \\"spec.containers[0].imagee\\"' in api.warnings

    api.delete(f"{space}/pods/web")
    assert api.post(f"{space}/pods", body, fieldValidation="Ignore")[0] == 201
    assert api.warnings == ""


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b'"text"'])
def test_a_body_that_is_no_object_is_a_400(api, space, body):
    status, answer = api.call("POST", f"{space}/configmaps", body)

    assert (status, answer["kind"]) == (400, "Status")


def test_a_body_may_be_yaml(api, space):
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  a: b\n"

    status, answer = api.call("POST", f"{space}/configmaps", text, "application/yaml")

    assert (status, answer["data"]) == (201, {"a": "b"})


def test_an_object_of_another_kind_or_namespace_is_refused(api, space):
    assert api.post(f"{space}/configmaps", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}})[0] == 400
    assert api.post(f"{space}/configmaps", config_map(namespace="elsewhere"))[0] == 400
    assert api.post("/api/v1/namespaces/absent/configmaps", config_map())[0] == 404


def test_an_unknown_path_and_a_wrong_method_are_statuses(api, space):
    assert api.get("/api/v1/unicorns")[1]["reason"] == "NotFound"
    assert api.session.get(f"{api.url}/apis/no.such/v1/things", timeout=5).status_code == 404
    assert api.call("POST", f"{space}/configmaps/one", config_map())[0] == 405
    assert api.call("OPTIONS", f"{space}/configmaps")[0] == 405


def test_a_field_that_no_controller_would_heed_is_a_501_that_says_what_to_use(api, apps):
    body = {**deployment(), "kind": "StatefulSet", "apiVersion": "apps/v1"}
    body["spec"] = {name: body["spec"][name] for name in ("selector", "template")}
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}]

    sound = api.post(f"{apps}/statefulsets?dryRun=All", body)[0]
    body["spec"]["volumeClaimTemplates"] = claims
    status, answer = api.post(f"{apps}/statefulsets", body)

    assert sound == 201
    assert (status, answer["kind"], answer["code"]) == (501, "Status", 501)
    assert "spec.volumeClaimTemplates: nothing provisions a PersistentVolumeClaim; use an emptyDir" in answer["message"]


def test_a_suspended_job_may_be_placed_elsewhere_and_run_nothing_else(api, space):
    jobs = "/apis/batch/v1" + space.removeprefix("/api/v1") + "/jobs"
    inner = {"restartPolicy": "Never", "containers": [{"name": "app", "image": "x"}]}
    api.post(jobs, {"metadata": {"name": "later"}, "spec": {"suspend": True, "template": {"spec": inner}}})

    placed = api.merge(f"{jobs}/later", {"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}})[0]
    other = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "y"}]}}}}
    status, answer = api.merge(f"{jobs}/later", other)

    assert placed == 200
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "spec.template: Invalid value" in answer["message"]


def test_an_impersonated_user_has_no_more_than_its_own_rights(api):
    answer = api.session.get(f"{api.url}/api/v1/pods", headers={"Impersonate-User": "eve"}, timeout=5)

    assert answer.status_code == 403
    assert 'User "eve" cannot list resource "pods"' in answer.json()["message"]


def test_a_kind_that_has_no_effect_is_stored_with_a_warning(api, space):
    path = "/apis/networking.k8s.io/v1" + space.removeprefix("/api/v1") + "/networkpolicies"

    status, _ = api.post(path, {"metadata": {"name": "deny"}, "spec": {"podSelector": {}}})

    assert status == 201
    assert "no traffic is restricted by it" in api.warnings


def test_a_secrets_string_data_is_stored_encoded(api, space):
    _, made = api.post(f"{space}/secrets", {"metadata": {"name": "s"}, "stringData": {"key": "value"}})

    assert made["data"] == {"key": "dmFsdWU="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


def test_an_immutable_config_map_stays_as_it_is(api, space):
    api.post(f"{space}/configmaps", {**config_map(), "immutable": True})

    status, answer = api.merge(f"{space}/configmaps/one", {"data": {"a": "2"}})

    assert (status, answer["reason"]) == (422, "Invalid")


def test_a_pods_containers_cannot_be_replaced_but_its_image_can(api, space):
    api.post(f"{space}/pods", pod())

    image = {"spec": {"containers": [{"name": "app", "image": "y"}]}}
    command = {"spec": {"containers": [{"name": "app", "command": ["z"]}]}}

    assert api.strategic(f"{space}/pods/web", image)[0] == 200
    status, answer = api.strategic(f"{space}/pods/web", command)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "pod updates may not change fields other than" in answer["message"]
