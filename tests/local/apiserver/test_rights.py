"""RBAC: which rules a user has, and what they cover."""

import pytest

from pytest_mesh.clusters.local.apiserver import rights
from pytest_mesh.clusters.local.apiserver.rights import Wish, covers, wish_of
from pytest_mesh.clusters.local.apiserver.store import Store
from pytest_mesh.clusters.local.apiserver.users import UserInfo

PODS = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("method", "path", "query", "verb", "whole", "name"),
    [
        ("GET", "/api/v1/namespaces/a/pods", {}, "list", "pods", ""),
        ("GET", "/api/v1/namespaces/a/pods", {"watch": "true"}, "watch", "pods", ""),
        ("GET", "/api/v1/namespaces/a/pods", {"fieldSelector": "metadata.name=x"}, "list", "pods", "x"),
        ("DELETE", "/api/v1/namespaces/a/pods", {}, "deletecollection", "pods", ""),
        ("POST", "/api/v1/namespaces/a/pods/x/exec", {}, "create", "pods/exec", "x"),
        ("PUT", "/api/v1/namespaces/a/status", {}, "update", "namespaces/status", "a"),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/x/scale", {}, "patch", "deployments/scale", "x"),
    ],
)
def test_a_request_is_a_wish(method, path, query, verb, whole, name):
    wish = wish_of(method, path, query)

    assert (wish.verb, wish.whole, wish.name) == (verb, whole, name)


@pytest.mark.parametrize(
    ("rule", "wish", "covered"),
    [
        (PODS, Wish(verb="get", resource="pods"), True),
        (PODS, Wish(verb="get", resource="pods", subresource="log"), True),
        (PODS, Wish(verb="get", resource="pods", subresource="exec"), False),
        (PODS, Wish(verb="list", resource="pods"), False),
        (PODS, Wish(verb="get", group="apps", resource="pods"), False),
        ({**PODS, "resources": ["*/log"]}, Wish(verb="get", resource="pods", subresource="log"), True),
        ({**PODS, "resources": ["*"]}, Wish(verb="get", resource="pods", subresource="exec"), True),
        ({**PODS, "resourceNames": ["x"]}, Wish(verb="get", resource="pods", name="y"), False),
        ({"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}, Wish(verb="get", path="/healthz/ping"), True),
        ({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, Wish(verb="get", path="/healthz/ping"), False),
    ],
)
def test_a_rule_covers_a_wish_by_all_its_parts(rule, wish, covered):
    assert covers(rule, wish) is covered


def test_what_a_role_and_its_binding_say_holds_for_the_next_request():
    store, user, wish = Store(), UserInfo(username="ada"), Wish(verb="get", resource="pods", namespace="a")
    authorizer = rights.Authorizer(store)
    binding = {
        "metadata": {"name": "b", "namespace": "a"},
        "subjects": [{"kind": "User", "name": "ada"}],
        "roleRef": {"kind": "Role", "name": "r"},
    }
    found = [authorizer.allows(user, wish)]
    store.put(rights.BINDINGS, binding)
    found.append(authorizer.allows(user, wish))
    store.put(rights.ROLES, {"metadata": {"name": "r", "namespace": "a"}, "rules": [PODS]})
    found.append(authorizer.allows(user, wish))
    found.append(authorizer.allows(UserInfo(username="bob"), wish))
    store.remove(rights.BINDINGS, "a", "b")
    found.append(authorizer.allows(user, wish))

    allowed = 'RBAC: allowed by RoleBinding "b/a" of Role "r" to User "ada"'
    assert found == [None, None, allowed, None, None]
