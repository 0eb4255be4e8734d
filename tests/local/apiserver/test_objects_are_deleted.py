"""Deletion: at once, by grace, held by finalizers, by preconditions, by the collection."""


def config_map(name="one", **metadata):
    return {"metadata": {"name": name, **metadata}, "data": {"a": "1"}}


def test_a_deleted_object_is_gone_and_its_status_answered(api, space):
    _, made = api.post(f"{space}/configmaps", config_map())

    status, answer = api.delete(f"{space}/configmaps/one")

    assert (status, answer["kind"], answer["status"]) == (200, "Status", "Success")
    assert answer["details"]["uid"] == made["metadata"]["uid"]
    assert api.get(f"{space}/configmaps/one")[0] == 404
    assert api.delete(f"{space}/configmaps/one")[0] == 404


def test_a_finalizer_holds_an_object_until_it_is_taken_away(api, space):
    api.post(f"{space}/configmaps", config_map(finalizers=["tests.example/hold"]))

    _, answer = api.delete(f"{space}/configmaps/one")
    assert answer["metadata"]["deletionTimestamp"]
    assert api.get(f"{space}/configmaps/one")[0] == 200
    status, refusal = api.merge(
        f"{space}/configmaps/one", {"metadata": {"finalizers": ["tests.example/hold", "tests.example/more"]}}
    )
    assert status == 422
    assert "no new finalizers can be added" in refusal["message"]

    assert api.merge(f"{space}/configmaps/one", {"metadata": {"finalizers": None}})[0] == 200
    assert api.get(f"{space}/configmaps/one")[0] == 404


def test_a_precondition_that_does_not_hold_is_a_409(api, space):
    _, made = api.post(f"{space}/configmaps", config_map())

    assert api.delete(f"{space}/configmaps/one", {"preconditions": {"uid": "another"}})[0] == 409
    assert api.delete(f"{space}/configmaps/one", {"preconditions": {"resourceVersion": "1"}})[0] == 409
    assert api.delete(f"{space}/configmaps/one", {"preconditions": {"uid": made["metadata"]["uid"]}})[0] == 200


def test_foreground_deletion_waits_for_the_collector_and_keeps_the_owners_references(api, space):
    _, owner = api.post(f"{space}/configmaps", config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    _, dependent = api.post(f"{space}/configmaps", config_map("dependent", ownerReferences=[reference]))

    _, answer = api.delete(f"{space}/configmaps/owner", {"propagationPolicy": "Foreground"})

    assert answer["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert dependent["metadata"]["ownerReferences"] == [reference]
    assert api.delete(f"{space}/configmaps/owner", {"propagationPolicy": "Sideways"})[0] == 422


def test_an_owner_reference_must_be_complete(api, space):
    status, answer = api.post(f"{space}/configmaps", config_map(ownerReferences=[{"kind": "ConfigMap", "name": "x"}]))

    assert status == 422
    fields = {cause["field"] for cause in answer["details"]["causes"]}
    assert {"metadata.ownerReferences.uid", "metadata.ownerReferences.apiVersion"} <= fields


def test_a_bound_pod_is_given_its_grace_and_an_unbound_one_goes_at_once(api, space):
    pod = {"spec": {"containers": [{"name": "a", "image": "x"}], "terminationGracePeriodSeconds": 20}}
    api.post(f"{space}/pods", {**pod, "metadata": {"name": "free"}})
    api.post(f"{space}/pods", {**pod, "metadata": {"name": "bound"}})
    binding = {"metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "mesh-node"}}
    assert api.post(f"{space}/pods/bound/binding", binding)[0] == 201
    assert api.post(f"{space}/pods/bound/binding", binding)[0] == 409

    api.delete(f"{space}/pods/free")
    _, ending = api.delete(f"{space}/pods/bound")

    assert api.get(f"{space}/pods/free")[0] == 404
    assert ending["metadata"]["deletionGracePeriodSeconds"] == 20
    api.delete(f"{space}/pods/bound", gracePeriodSeconds=0)
    assert api.get(f"{space}/pods/bound")[0] == 404


def test_a_selection_is_deleted(api, space):
    for name, colour in (("a", "red"), ("b", "red"), ("c", "blue")):
        api.post(f"{space}/configmaps", config_map(name, labels={"colour": colour}))

    status, _ = api.delete(f"{space}/configmaps", labelSelector="colour=red")

    assert status == 200
    assert [each["metadata"]["name"] for each in api.get(f"{space}/configmaps")[1]["items"]] == ["c"]


def test_nothing_is_created_in_a_namespace_that_is_going(api, space):
    name = space.rpartition("/")[2]
    _, answer = api.delete(space)
    assert answer["status"]["phase"] == "Terminating"

    status, refusal = api.post(f"{space}/configmaps", config_map())

    assert status == 403
    assert f"namespace {name} because it is being terminated" in refusal["message"]
    assert api.get(space)[0] == 200
    assert api.put(f"{space}/finalize", {**api.get(space)[1], "spec": {"finalizers": []}})[0] == 200
    assert api.get(space)[0] == 404


def test_the_systems_namespaces_stay(api):
    assert api.delete("/api/v1/namespaces/kube-system")[0] == 403
