"""Lists with selectors and pages, and watches with bookmarks, initial events and 410."""

import itertools

import pytest


def config_map(name, data=None, **metadata):
    return {"metadata": {"name": name, **metadata}, "data": data or {}}


def names(answer):
    return [item["metadata"]["name"] for item in answer[1]["items"]]


def taken(events, count):
    return list(itertools.islice(events, count))


@pytest.fixture
def maps(api, space):
    path = f"{space}/configmaps"
    for name, labels in (
        ("a", {"tier": "web", "colour": "red"}),
        ("b", {"tier": "web"}),
        ("c", {"tier": "data", "colour": "blue"}),
        ("d", {}),
    ):
        api.post(path, config_map(name, labels=labels))
    return path


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("tier=web", "ab"),
        ("tier==web,colour", "a"),
        ("tier!=web", "cd"),
        ("!colour", "bd"),
        ("colour in (red, blue)", "ac"),
        ("colour notin (red)", "bcd"),
        ("tier in (web),colour notin (red)", "b"),
        ("absent", ""),
        ("", "abcd"),
    ],
)
def test_a_label_selector_selects(api, maps, selector, expected):
    assert names(api.get(maps, labelSelector=selector)) == list(expected)


@pytest.mark.parametrize("selector", ["a=b=c", "in (x)", "a in x", "=b", "a in (", "-a=b"])
def test_a_malformed_label_selector_is_a_400(api, maps, selector):
    status, answer = api.get(maps, labelSelector=selector)

    assert (status, answer["reason"]) == (400, "BadRequest")


def test_a_field_selector_selects_and_an_unknown_field_is_a_400(api, maps, space):
    assert names(api.get(maps, fieldSelector="metadata.name=b")) == ["b"]
    assert names(api.get(maps, fieldSelector="metadata.name!=b")) == ["a", "c", "d"]
    assert "kubernetes" in names(api.get("/api/v1/services", fieldSelector="metadata.namespace=default"))

    status, answer = api.get(maps, fieldSelector="data.x=1")
    assert status == 400
    assert "data.x" in answer["message"]
    api.post(f"{space}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "x"}]}})
    assert names(api.get(f"{space}/pods", fieldSelector="status.phase=Pending")) == ["p"]
    assert names(api.get(f"{space}/pods", fieldSelector="spec.nodeName!=,status.phase!=Failed")) == []


def test_a_list_is_read_in_pages(api, maps):
    status, first = api.get(maps, limit=3)
    assert (status, names((status, first))) == (200, ["a", "b", "c"])
    assert first["metadata"]["remainingItemCount"] == 1

    _, second = api.get(maps, limit=3, **{"continue": first["metadata"]["continue"]})
    assert names((200, second)) == ["d"]
    assert "continue" not in second["metadata"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    assert api.get(maps, **{"continue": "nonsense"})[0] == 400


def test_a_list_has_the_kind_and_version_of_the_whole(api, maps):
    status, answer = api.get(maps)

    assert (status, answer["kind"], answer["apiVersion"]) == (200, "ConfigMapList", "v1")
    assert answer["metadata"]["resourceVersion"] == str(api.server.store.version)


def test_a_list_from_the_future_is_a_504(api, maps):
    future = api.server.store.version + 1000

    status, answer = api.get(maps, resourceVersion=future)

    assert (status, answer["reason"]) == (504, "Timeout")
    assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_only_metadata_is_given_when_asked_for(api, maps):
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"

    _, answer = api.call("GET", maps, accept=accept)

    assert answer["kind"] == "PartialObjectMetadataList"
    assert all(item.keys() == {"kind", "apiVersion", "metadata"} for item in answer["items"])


def test_a_watch_tells_of_every_change_after_its_version(api, maps):
    version = api.get(maps)[1]["metadata"]["resourceVersion"]
    api.post(maps, config_map("new"))
    api.merge(f"{maps}/new", {"data": {"x": "1"}})
    api.delete(f"{maps}/new")

    status, events = api.watch(maps, resourceVersion=version)
    seen = taken(events, 3)
    events.close()

    assert status == 200
    assert [each["type"] for each in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert [each["object"].get("data") or {} for each in seen] == [{}, {"x": "1"}, {"x": "1"}]
    versions = [int(each["object"]["metadata"]["resourceVersion"]) for each in seen]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


def test_a_watch_without_version_begins_with_what_is_there(api, maps):
    _, events = api.watch(maps)
    seen = taken(events, 4)
    events.close()

    assert [(each["type"], each["object"]["metadata"]["name"]) for each in seen] == [("ADDED", n) for n in "abcd"]


def test_a_watch_list_ends_its_initial_events_with_a_bookmark(api, maps):
    _, events = api.watch(
        maps, sendInitialEvents="true", resourceVersionMatch="NotOlderThan", allowWatchBookmarks="true"
    )
    seen = taken(events, 5)
    events.close()

    assert [each["type"] for each in seen] == ["ADDED"] * 4 + ["BOOKMARK"]
    metadata = seen[-1]["object"]["metadata"]
    assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert metadata["resourceVersion"] == str(api.server.store.version)
    assert (seen[-1]["object"]["kind"], seen[-1]["object"]["apiVersion"]) == ("ConfigMap", "v1")


def test_a_watch_list_must_say_that_it_takes_newer_data(api, maps):
    status, answer = api.get(maps, watch="true", sendInitialEvents="true")

    assert (status, answer["reason"]) == (422, "Invalid")
    assert "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan" in answer["message"]


def test_leaving_and_entering_a_selection_are_deletion_and_addition(api, maps):
    version = api.get(maps)[1]["metadata"]["resourceVersion"]
    api.merge(f"{maps}/d", {"metadata": {"labels": {"tier": "web"}}})
    api.merge(f"{maps}/d", {"data": {"x": "1"}})
    api.merge(f"{maps}/d", {"metadata": {"labels": {"tier": "data"}}})

    _, events = api.watch(maps, resourceVersion=version, labelSelector="tier=web")
    seen = taken(events, 3)
    events.close()

    assert [each["type"] for each in seen] == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_ends_when_its_time_is_over(api, maps):
    version = api.get(maps)[1]["metadata"]["resourceVersion"]

    _, events = api.watch(maps, resourceVersion=version, allowWatchBookmarks="true", timeoutSeconds=1)

    assert [each["type"] for each in events] == ["BOOKMARK"]


def test_a_watch_from_too_long_ago_is_410_expired(api, space, monkeypatch):
    from pytest_mesh.clusters.local.apiserver import store

    monkeypatch.setattr(store, "HISTORY", 4)
    path = f"{space}/configmaps"
    api.post(path, config_map("first"))
    version = api.get(path)[1]["metadata"]["resourceVersion"]
    for number in range(10):
        api.post(path, config_map(f"more-{number}"))

    status, answer = api.get(path, watch="true", resourceVersion=version)

    assert (status, answer["reason"], answer["code"]) == (410, "Expired", 410)
    assert "too old resource version" in answer["message"]


def test_tables_are_what_kubectl_get_prints(api, space):
    api.post(f"{space}/pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "x"}]}})
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

    _, table = api.call("GET", f"{space}/pods", accept=accept)

    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    shown = [column["name"] for column in table["columnDefinitions"] if column["priority"] == 0]
    assert shown == ["Name", "Ready", "Status", "Restarts", "Age"]
    assert table["rows"][0]["cells"][:4] == ["p", "0/1", "Pending", "0"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
