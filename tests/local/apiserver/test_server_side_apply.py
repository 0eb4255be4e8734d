"""Server-side apply: who owns what, conflicts, and that applying twice changes nothing."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def config_map(data, name="one", **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": data}


def fields(obj, manager):
    return next(e["fieldsV1"] for e in obj["metadata"]["managedFields"] if e["manager"] == manager)


def test_applying_creates_and_applying_again_changes_nothing(api, space):
    path = f"{space}/configmaps/one"

    status, first = api.apply(path, config_map({"a": "1"}))
    assert status == 201
    assert fields(first, "tests") == {"f:data": {".": {}, "f:a": {}}} or fields(first, "tests") == {
        "f:data": {"f:a": {}}
    }

    status, second = api.apply(path, config_map({"a": "1"}))
    assert (status, second) == (200, first)


def test_a_field_that_is_no_longer_applied_goes_away(api, space):
    path = f"{space}/configmaps/one"
    api.apply(path, config_map({"a": "1", "b": "2"}))

    _, answer = api.apply(path, config_map({"b": "2"}))

    assert answer["data"] == {"b": "2"}


def test_another_managers_value_is_a_conflict_that_names_both(api, space):
    path = f"{space}/configmaps/one"
    api.apply(path, config_map({"a": "1"}), manager="first")

    status, answer = api.apply(path, config_map({"a": "2"}), manager="second")

    assert (status, answer["reason"]) == (409, "Conflict")
    assert 'conflict with "first"' in answer["message"]
    assert answer["details"]["causes"][0]["field"] == ".data.a"
    assert api.get(path)[1]["data"] == {"a": "1"}


def test_force_takes_the_field_over(api, space):
    path = f"{space}/configmaps/one"
    api.apply(path, config_map({"a": "1", "b": "1"}), manager="first")

    status, answer = api.apply(path, config_map({"a": "2"}), manager="second", force="true")

    assert (status, answer["data"]) == (200, {"a": "2", "b": "1"})
    assert "f:a" not in fields(answer, "first")["f:data"]
    assert "f:a" in fields(answer, "second")["f:data"]


def test_two_managers_with_the_same_value_share_it_and_the_last_one_takes_it_away(api, space):
    path = f"{space}/configmaps/one"
    api.apply(path, config_map({"a": "1"}), manager="first")
    assert api.apply(path, config_map({"a": "1"}), manager="second")[0] == 200

    _, kept = api.apply(path, config_map({"z": "1"}), manager="first")
    _, gone = api.apply(path, config_map({"y": "1"}), manager="second")

    assert kept["data"] == {"a": "1", "z": "1"}
    assert gone["data"] == {"y": "1", "z": "1"}


def test_lists_with_keys_are_merged_by_manager(api, space):
    path = f"{space}/services/web"

    def service(*ports):
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": list(ports)}}

    api.apply(path, service({"name": "http", "port": 80}), manager="first")
    status, both = api.apply(path, service({"name": "https", "port": 443}), manager="second")
    assert status == 200
    assert [port["port"] for port in both["spec"]["ports"]] == [80, 443]

    status, left = api.apply(path, service({"name": "grpc", "port": 90}), manager="first")
    assert status == 200, left["message"]
    assert {port["port"] for port in left["spec"]["ports"]} == {90, 443}


def test_an_update_takes_ownership_of_what_it_changes(api, space):
    path = f"{space}/configmaps/one"
    api.apply(path, config_map({"a": "1"}), manager="first")
    api.merge(path, {"data": {"a": "2"}}, fieldManager="editor")

    status, answer = api.apply(path, config_map({"a": "1"}), manager="first")

    assert status == 409
    assert 'conflict with "editor"' in answer["message"]


def test_an_applied_configuration_names_its_kind_and_brings_no_managed_fields(api, space):
    path = f"{space}/configmaps/one"

    assert api.apply(path, {"metadata": {"name": "one"}})[0] == 400
    assert api.apply(path, config_map({}, managedFields=[{"manager": "x"}]))[0] == 400


def test_a_custom_resource_is_applied_by_its_own_lists(api, widgets, widget):
    path = f"{widgets}/applied"
    first = widget("applied", {"host": "a", "ports": [{"number": 1}], "tags": ["x"]})
    second = widget("applied", {"host": "a", "ports": [{"number": 2, "name": "grpc"}], "tags": ["y"]})

    assert api.apply(path, first, manager="first")[0] == 201
    status, answer = api.apply(path, second, manager="second")

    assert status == 200
    assert answer["spec"]["ports"] == [{"number": 1, "name": "http"}, {"number": 2, "name": "grpc"}]
    assert answer["spec"]["tags"] == ["x", "y"]
    assert api.apply(path, second, manager="second") == (200, answer)


keys = st.text(alphabet="abcdefgh.-_", min_size=1, max_size=6).filter(
    lambda key: key != "." and not key.startswith("..")
)
datas = st.dictionaries(keys, st.text(alphabet="xyz \n\"'", max_size=8), max_size=6)
labels = st.dictionaries(st.sampled_from(["app", "tier", "tests.example/x"]), st.sampled_from(["a", "b", ""]))
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(before=datas, after=datas, labels_before=labels, labels_after=labels)
def test_any_merge_patch_between_two_objects_gives_the_second(api, space, before, after, labels_before, labels_after):
    path = f"{space}/configmaps"
    api.delete(f"{path}/law")
    _, made = api.post(path, config_map(before, "law", labels=labels_before))
    assert made.get("data", {}) == before

    patch = {
        "data": difference(before, after),
        "metadata": {"labels": difference(labels_before, labels_after)},
    }
    status, answer = api.merge(f"{path}/law", patch)

    assert status == 200
    assert answer.get("data", {}) == after
    assert answer["metadata"].get("labels", {}) == labels_after


def difference(before, after):
    gone = dict.fromkeys(before.keys() - after.keys())
    return {**gone, **{key: value for key, value in after.items() if before.get(key) != value}}


@quick
@given(first=datas, second=datas)
def test_applying_is_idempotent_and_the_last_configuration_is_what_is_there(api, space, first, second):
    path = f"{space}/configmaps/twice"
    api.delete(path)

    for data in (first, second):
        status, once = api.apply(path, config_map(data, "twice", labels={"n": str(len(data))}))
        assert status in {200, 201}
        again = api.apply(path, config_map(data, "twice", labels={"n": str(len(data))}))
        assert again == (200, once)
        assert once.get("data", {}) == data


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(alphabet="ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pqr"), inner, max_size=3),
    max_leaves=10,
)


@quick
@given(
    before=st.dictionaries(st.sampled_from("pqr"), json_values),
    after=st.dictionaries(st.sampled_from("pqr"), json_values),
)
def test_a_json_patch_made_from_two_objects_gives_the_second(before, after):
    import jsonpatch

    from pytest_mesh.clusters.local.apiserver import patches

    patch = json.loads(jsonpatch.make_patch(before, after).to_string())
    kept = json.dumps(before)

    assert patches.json_patch(before, patch) == after
    assert json.dumps(before) == kept


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_give_what_rfc_7396_appendix_a_says(target, patch, result):
    from pytest_mesh.clusters.local.apiserver import patches

    assert patches.merge_patch(target, patch) == result
