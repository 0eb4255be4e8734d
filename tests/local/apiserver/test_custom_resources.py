"""CustomResourceDefinitions: served versions, pruning, defaults, schema, CEL, status, ends."""

import pytest
from widget_definitions import CRDS, definition


def test_a_definition_is_established_and_served_in_all_its_versions(api, widgets, widget):
    _, crd = api.get(f"{CRDS}/widgets.tests.example")
    conditions = {each["type"]: each["status"] for each in crd["status"]["conditions"]}
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert crd["status"]["storedVersions"] == ["v1"]

    status, made = api.post(widgets.replace("/v1/", "/v1alpha3/"), widget("everywhere", {"host": "a"}, "v1alpha3"))
    assert (status, made["apiVersion"]) == (201, "tests.example/v1alpha3")
    for version in ("v1", "v1beta1", "v1alpha3"):
        status, seen = api.get(widgets.replace("/v1/", f"/{version}/") + "/everywhere")
        assert (status, seen["apiVersion"], seen["spec"]) == (200, f"tests.example/{version}", made["spec"])
    unserved = widgets.replace("/v1/", "/v2/") + "/everywhere"
    assert api.session.get(api.url + unserved, timeout=5).status_code == 404


def test_a_watch_in_one_version_sees_writes_of_another(api, widgets, widget):
    version = api.get(widgets)[1]["metadata"]["resourceVersion"]
    api.post(widgets, widget("seen", {"host": "a"}))

    _, events = api.watch(widgets.replace("/v1/", "/v1beta1/"), resourceVersion=version)
    event = next(events)
    events.close()

    assert (event["type"], event["object"]["apiVersion"]) == ("ADDED", "tests.example/v1beta1")


def test_unknown_fields_are_pruned_and_kept_where_the_schema_says_so(api, widgets, widget):
    spec = {"host": "a", "unknown": 1, "free": {"anything": {"goes": True}}}

    status, made = api.post(widgets, widget("pruned", spec))

    assert status == 201
    assert made["spec"] == {"host": "a", "weight": 7, "free": {"anything": {"goes": True}}}
    assert 'unknown field \\"spec.unknown\\"' in api.warnings


def test_strict_validation_refuses_unknown_fields_by_name(api, widgets, widget):
    status, answer = api.post(widgets, widget("strict", {"host": "a", "unknown": 1}), fieldValidation="Strict")

    assert status == 400
    assert 'unknown field "spec.unknown"' in answer["message"]


def test_defaults_are_filled_in_lists_too(api, widgets, widget):
    _, made = api.post(widgets, widget("defaulted", {"host": "a", "ports": [{"number": 1}]}))

    assert made["spec"]["weight"] == 7
    assert made["spec"]["ports"] == [{"number": 1, "name": "http"}]


@pytest.mark.parametrize(
    ("spec", "field", "words"),
    [
        ({}, "spec.host", "Required value"),
        ({"host": ""}, "spec.host", "should be at least 1 chars long"),
        ({"host": 5}, "spec.host", "must be of type string"),
        ({"host": "a", "weight": 101}, "spec.weight", "should be less than or equal to 100"),
        ({"host": "a", "weight": -1}, "spec.weight", "should be greater than or equal to 0"),
        ({"host": "a", "mode": "DIM"}, "spec.mode", 'supported values: "ON", "OFF"'),
        ({"host": "a", "tags": ["x", "x"]}, "spec.tags[1]", "Duplicate value"),
        ({"host": "a", "ports": [{"number": 1}, {"number": 1}]}, "spec.ports[1]", "Duplicate value"),
        ({"host": "a", "ports": [{}]}, "spec.ports[0].number", "Required value"),
        ({"host": "a", "low": 2, "high": 1}, "spec", "low must not be above high"),
    ],
)
def test_a_fault_is_named_by_field_and_rule(api, widgets, widget, spec, field, words):
    status, answer = api.post(widgets, widget("faulty", spec))

    assert (status, answer["reason"]) == (422, "Invalid")
    causes = {cause["field"]: cause["message"] for cause in answer["details"]["causes"]}
    assert field in causes, causes
    assert words in causes[field]
    assert f"{field}: " in answer["message"]


def test_a_transition_rule_compares_with_what_was_there(api, widgets, widget):
    api.post(widgets, widget("fixed", {"host": "a"}))

    assert api.merge(f"{widgets}/fixed", {"spec": {"weight": 9}})[0] == 200
    status, answer = api.merge(f"{widgets}/fixed", {"spec": {"host": "b"}})

    assert status == 422
    assert "host is immutable" in answer["message"]


def test_the_status_of_a_custom_resource_is_written_apart(api, widgets, widget):
    _, made = api.post(widgets, {**widget("reported", {"host": "a"}), "status": {"phase": "sent"}})
    assert "status" not in made

    _, answer = api.merge(f"{widgets}/reported/status", {"status": {"phase": "up"}, "spec": {"weight": 1}})

    assert (answer["status"], answer["spec"]["weight"]) == ({"phase": "up"}, 7)


def test_an_update_of_a_custom_resource_must_state_its_version(api, widgets, widget):
    api.post(widgets, widget("stated", {"host": "a"}))

    status, answer = api.put(f"{widgets}/stated", widget("stated", {"host": "a", "weight": 1}))

    assert status == 422
    assert "metadata.resourceVersion" in answer["message"]


def test_a_custom_resource_takes_no_strategic_patch(api, widgets, widget):
    api.post(widgets, widget("plain", {"host": "a"}))

    assert api.strategic(f"{widgets}/plain", {"spec": {"weight": 1}})[0] == 415


def test_its_table_has_the_definitions_columns(api, widgets, widget):
    api.post(widgets, widget("shown", {"host": "shown.example"}))

    _, table = api.call("GET", f"{widgets}/shown", accept="application/json;as=Table;v=v1;g=meta.k8s.io")

    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Host"]
    assert table["rows"][0]["cells"] == ["shown", "shown.example"]


HOOK = {"clientConfig": {"url": "https://conversion.example"}, "conversionReviewVersions": ["v1"]}
CONVERSION = {"strategy": "Webhook", "webhook": HOOK}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda crd: crd["metadata"].update(name="other.tests.example"), "metadata.name"),
        (lambda crd: crd["spec"].update(scope="Galaxy"), "spec.scope"),
        (lambda crd: crd["spec"]["versions"][0].update(storage=False), "spec.versions"),
        (lambda crd: crd["spec"]["versions"][0].pop("schema"), "spec.versions[0].schema.openAPIV3Schema"),
        (lambda crd: crd["spec"].update(conversion=CONVERSION), "spec.conversion.strategy"),
    ],
)
def test_a_faulty_definition_is_refused_by_field(api, change, field):
    crd = definition("gadgets", "Gadget", {"type": "object"})
    change(crd)

    status, answer = api.post(CRDS, crd)

    assert (status, answer["reason"]) == (422, "Invalid")
    assert field in {cause["field"] for cause in answer["details"]["causes"]}


def test_a_definition_that_goes_takes_its_instances_and_its_path_with_it(api):
    path = "/apis/tests.example/v1/namespaces/default/doodads"
    api.post(CRDS, definition("doodads", "Doodad", {"type": "object"}, versions=("v1",)))
    doodad = {"apiVersion": "tests.example/v1", "kind": "Doodad", "metadata": {"name": "d"}}
    assert api.post(path, doodad)[0] == 201

    assert api.delete(f"{CRDS}/doodads.tests.example")[0] == 200

    assert api.get(f"{CRDS}/doodads.tests.example")[0] == 404
    assert api.get(path)[0] == 404
    api.post(CRDS, definition("doodads", "Doodad", {"type": "object"}, versions=("v1",)))
    assert api.get(path)[1]["items"] == []
