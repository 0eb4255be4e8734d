"""What a patch does to an object: merge, JSON and strategic patches."""

import pytest


def config_map(name="one", data=None, **metadata):
    return {"metadata": {"name": name, **metadata}, "data": data or {"a": "1"}}


def deployment(name="web", **container):
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "x", **container}]},
    }
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": template}}


def test_a_merge_patch_sets_and_removes(api, space):
    api.post(f"{space}/configmaps", config_map(data={"a": "1", "b": "2"}))

    status, answer = api.merge(f"{space}/configmaps/one", {"data": {"a": None, "c": "3"}})

    assert status == 200
    assert answer["data"] == {"b": "2", "c": "3"}


def test_a_json_patch_applies_in_order_and_a_failed_test_refuses_all(api, space):
    api.post(f"{space}/configmaps", config_map())
    add = {"op": "add", "path": "/data/b", "value": "2"}

    status, answer = api.patch(f"{space}/configmaps/one", [add, {"op": "move", "from": "/data/b", "path": "/data/c"}])
    assert (status, answer["data"]) == (200, {"a": "1", "c": "2"})

    status, answer = api.patch(f"{space}/configmaps/one", [add, {"op": "test", "path": "/data/a", "value": "9"}])
    assert (status, answer["reason"]) == (422, "Invalid")
    assert api.get(f"{space}/configmaps/one")[1]["data"] == {"a": "1", "c": "2"}


@pytest.mark.parametrize(
    ("patch", "code"),
    [({"op": "add"}, 400), ("text", 400), ([{"op": "fly", "path": "/data"}], 422), ([{"path": "/data"}], 422)],
)
def test_a_malformed_json_patch_is_refused(api, space, patch, code):
    api.post(f"{space}/configmaps", config_map())

    status, answer = api.patch(f"{space}/configmaps/one", patch)

    assert (status, answer["kind"]) == (code, "Status")


def test_a_strategic_patch_merges_lists_by_their_key(api, apps):
    api.post(f"{apps}/deployments", deployment(env=[{"name": "A", "value": "1"}]))
    containers = [{"name": "app", "env": [{"name": "B", "value": "2"}]}, {"name": "side", "image": "y"}]

    status, answer = api.strategic(
        f"{apps}/deployments/web", {"spec": {"template": {"spec": {"containers": containers}}}}
    )

    assert status == 200
    found = {each["name"]: each for each in answer["spec"]["template"]["spec"]["containers"]}
    assert found.keys() == {"app", "side"}
    assert found["app"]["image"] == "x"
    assert {each["name"]: each["value"] for each in found["app"]["env"]} == {"A": "1", "B": "2"}


def test_a_strategic_patch_deletes_and_replaces_by_directive(api, apps):
    api.post(f"{apps}/deployments", deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]))

    def env(change):
        body = {"spec": {"template": {"spec": {"containers": [{"name": "app", "env": change}]}}}}
        _, answer = api.strategic(f"{apps}/deployments/web", body)
        return answer["spec"]["template"]["spec"]["containers"][0].get("env")

    assert env([{"name": "A", "$patch": "delete"}]) == [{"name": "B", "value": "2"}]
    assert env([{"$patch": "replace"}, {"name": "C", "value": "3"}]) == [{"name": "C", "value": "3"}]


def test_a_merge_patch_replaces_lists(api, apps):
    api.post(f"{apps}/deployments", deployment())
    containers = [{"name": "other", "image": "z"}]

    _, answer = api.merge(f"{apps}/deployments/web", {"spec": {"template": {"spec": {"containers": containers}}}})

    assert [each["name"] for each in answer["spec"]["template"]["spec"]["containers"]] == ["other"]


def test_a_patch_of_an_unknown_type_is_a_415(api, space):
    api.post(f"{space}/configmaps", config_map())

    status, answer = api.call("PATCH", f"{space}/configmaps/one", {}, "application/x-mine")

    assert (status, answer["reason"]) == (415, "UnsupportedMediaType")


def test_a_patch_may_state_the_version_that_it_is_for(api, space):
    _, first = api.post(f"{space}/configmaps", config_map())
    api.merge(f"{space}/configmaps/one", {"data": {"a": "2"}})
    stale = {"metadata": {"resourceVersion": first["metadata"]["resourceVersion"]}, "data": {"a": "3"}}

    assert api.merge(f"{space}/configmaps/one", stale)[0] == 409
