"""ServiceAccount admission, and which webhooks are asked of what, in which rounds."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.podaccounts import MOUNT_PATH

sys.path.insert(0, str(Path(__file__).parent))

from admission_asked import (
    ALL,
    HOOKS,
    NAMESPACES,
    PODS,
    ROUTES_BETA,
    add_label,
    admit,
    allow,
    config_map,
    patching,
    pod,
    with_hook,
)

# ---------------------------------------------------------------- service accounts


def test_a_pod_gets_its_account_the_token_volume_and_a_mount_in_every_container(admission):
    made = pod()
    made["spec"]["initContainers"] = [{"name": "init", "image": "x"}]
    changed, _ = asyncio.run(admit(admission, made, PODS))
    spec = changed["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert [list(source) for source in volume["projected"]["sources"]] == [
        ["serviceAccountToken"],
        ["configMap"],
        ["downwardAPI"],
    ]
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    assert spec["containers"][0]["volumeMounts"] == spec["initContainers"][0]["volumeMounts"] == [mount]
    assert "volumes" not in made["spec"], "the caller's object was changed"


@pytest.mark.parametrize("where", ["pod", "account"])
def test_no_token_is_mounted_where_the_pod_or_its_account_says_so(admission, store, where):
    made = pod()
    if where == "pod":
        made["spec"]["automountServiceAccountToken"] = False
    else:
        meta = {"namespace": "shop", "name": "default"}
        store.put("serviceaccounts", {"metadata": meta, "automountServiceAccountToken": False})
    changed, _ = asyncio.run(admit(admission, made, PODS))
    assert "volumes" not in changed["spec"]


def test_a_pod_of_an_unknown_account_is_forbidden(admission):
    made = pod()
    made["spec"]["serviceAccountName"] = "nobody"
    with pytest.raises(StatusError) as caught:
        asyncio.run(admit(admission, made, PODS))
    assert caught.value.code == 403
    assert caught.value.message == (
        'pods "web-1" is forbidden: error looking up service account shop/nobody: serviceaccount "nobody" not found'
    )


def test_a_pod_waits_for_the_default_account_of_a_new_namespace(admission, store):
    store.remove("serviceaccounts", "shop", "default")

    async def main():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(admit(admission, pod(), PODS))
            await asyncio.sleep(0)
            store.put("serviceaccounts", {"metadata": {"namespace": "shop", "name": "default", "uid": "1"}})
        return task.result()

    assert asyncio.run(main())[0]["spec"]["serviceAccountName"] == "default"


# ---------------------------------------------------------------- rounds


def test_mutating_webhooks_see_each_others_changes_and_validating_ones_the_last(admission, store, authority):
    async def check(hook):
        hook.configure(store, {}, {})
        hook.configure(
            store,
            {"clientConfig": {"url": f"https://127.0.0.1:{hook.port}/v", "caBundle": hook.bundle}},
            mutating=False,
        )
        hook.answers = {"/0": add_label("one"), "/1": add_label("two")}
        changed, _ = await admit(admission, config_map(a="b"))
        assert changed["metadata"]["labels"] == {"a": "b", "one": "yes", "two": "yes"}
        assert hook.paths == ["/0", "/1", "/v"]
        assert hook.request(1)["object"]["metadata"]["labels"] == {"a": "b", "one": "yes"}
        assert hook.request(2)["object"] == changed
        assert hook.timeout == "10s"

    with_hook(authority, check)


def test_a_webhook_that_wants_it_is_asked_again_after_a_later_one_changed_the_object(admission, store, authority):
    async def check(hook):
        hook.configure(store, {"reinvocationPolicy": "IfNeeded"}, {}, {"reinvocationPolicy": "IfNeeded"})
        hook.answers = {"/1": add_label("one")}
        await admit(admission, config_map(a="b"))
        assert hook.paths == ["/0", "/1", "/2", "/0"]

    with_hook(authority, check)


def test_a_container_that_a_webhook_adds_gets_the_token_mount_too(admission, store, authority):
    async def check(hook):
        hook.configure(store)
        sidecar = {"name": "istio-proxy", "image": "x"}
        hook.answers = {"/0": patching({"op": "add", "path": "/spec/containers/-", "value": sidecar})}
        changed, _ = await admit(admission, pod(), PODS)
        assert [c["volumeMounts"][0]["mountPath"] for c in changed["spec"]["containers"]] == [MOUNT_PATH] * 2
        assert len(changed["spec"]["volumes"]) == 1

    with_hook(authority, check)


def test_warnings_come_back_from_every_webhook(admission, store, authority):
    async def check(hook):
        hook.configure(store, {}, {})
        for path in ("/0", "/1"):
            hook.answers[path] = lambda review, path=path: allow(review, warnings=[f"from {path}"])
        _, warnings = await admit(admission, config_map())
        assert warnings == ["from /0", "from /1"]

    with_hook(authority, check)


# ---------------------------------------------------------------- which requests


@pytest.mark.parametrize(
    ("spec", "called"),
    [
        ({}, True),
        ({"rules": []}, False),
        ({"rules": [{**ALL, "operations": ["UPDATE"]}]}, False),
        ({"rules": [{**ALL, "apiGroups": ["apps"]}]}, False),
        ({"rules": [{**ALL, "resources": ["configmaps"]}]}, True),
        ({"rules": [{**ALL, "resources": ["configmaps/status"]}]}, False),
        ({"rules": [{**ALL, "scope": "Cluster"}]}, False),
        ({"rules": [{**ALL, "scope": "Namespaced"}]}, True),
        ({"namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"istio-injection": "disabled"}}}, False),
        ({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}, True),
        ({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}}, False),
        ({"objectSelector": {"matchExpressions": [{"key": "z", "operator": "NotIn", "values": ["b"]}]}}, True),
        ({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}}, False),
        ({"matchConditions": [{"name": "x", "expression": "object.metadata.name == 'c'"}]}, True),
        ({"matchConditions": [{"name": "x", "expression": "request.operation == 'DELETE'"}]}, False),
        ({"matchConditions": [{"name": "x", "expression": "has(object.metadata.labels.zz)"}]}, False),
    ],
)
def test_a_webhook_is_asked_about_what_its_configuration_selects(admission, store, authority, spec, called):
    async def check(hook):
        hook.configure(store, spec)
        await admit(admission, config_map(a="b"))
        assert bool(hook.asked) == called

    with_hook(authority, check)


def test_a_condition_that_cannot_be_evaluated_forbids_the_request(admission, store, authority):
    async def check(hook):
        condition = {"name": "x", "expression": "object.spec.nothing == 1"}
        hook.configure(store, {"matchConditions": [condition]})
        with pytest.raises(StatusError, match='configmaps "c" is forbidden') as caught:
            await admit(admission, config_map())
        assert caught.value.code == 403
        hook.configure(store, {"matchConditions": [condition], "failurePolicy": "Ignore"})
        await admit(admission, config_map())
        assert not hook.asked

    with_hook(authority, check)


@pytest.mark.parametrize(("policy", "called"), [("Equivalent", True), ("Exact", False)])
def test_a_rule_for_another_version_matches_if_the_policy_is_equivalent(admission, store, authority, policy, called):
    async def check(hook):
        rule = {**ALL, "apiGroups": ["net.example"], "apiVersions": ["v1"]}
        hook.configure(store, {"rules": [rule], "matchPolicy": policy})
        hook.answers = {"/0": patching({"op": "add", "path": "/spec", "value": {}})}
        meta = {"name": "r", "namespace": "shop"}
        route = {"apiVersion": "net.example/v1beta1", "kind": "Route", "metadata": meta}
        changed, _ = await admit(admission, route, ROUTES_BETA)
        assert bool(hook.asked) == called
        assert changed["apiVersion"] == "net.example/v1beta1"
        if called:
            request = hook.request()
            assert request["object"]["apiVersion"] == "net.example/v1"
            assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v1beta1")
            assert (request["resource"]["version"], request["requestResource"]["version"]) == ("v1", "v1beta1")
            assert "spec" in changed

    with_hook(authority, check)


def test_a_new_namespace_is_selected_by_the_labels_that_it_is_to_have(admission, store, authority):
    async def check(hook):
        hook.configure(store, {"namespaceSelector": {"matchLabels": {"team": "x"}}})
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new", "labels": {"team": "x"}}}
        await admit(admission, made, NAMESPACES)
        assert hook.request()["namespace"] == "new"

    with_hook(authority, check)


def test_webhook_configurations_are_never_shown_to_webhooks(admission, store, authority):
    async def check(hook):
        hook.configure(store)
        await admit(admission, {"metadata": {"name": "x"}}, HOOKS)
        assert not hook.asked

    with_hook(authority, check)


def test_a_deletion_shows_the_old_object_only(admission, store, authority):
    async def check(hook):
        hook.configure(store, mutating=False)
        await admit(admission, None, operation="DELETE", old=config_map(a="b"))
        request = hook.request()
        assert (request["object"], request["oldObject"]["metadata"]["name"]) == (None, "c")
        assert request["operation"] == "DELETE"
        assert request["userInfo"]["username"] == "kubernetes-admin"

    with_hook(authority, check)
