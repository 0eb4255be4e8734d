"""ServiceAccount admission and the webhooks: matching, rounds, failures, and their words."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from pytest_mesh.clusters.local.apiserver import pki
from pytest_mesh.clusters.local.apiserver.admission import Admission
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.podaccounts import MOUNT_PATH
from pytest_mesh.clusters.local.apiserver.registry import Registry, ResourceInfo
from pytest_mesh.clusters.local.apiserver.store import Store
from pytest_mesh.clusters.local.apiserver.users import ADMIN
from pytest_mesh.clusters.local.apiserver.webhooks import matching

PODS = ResourceInfo(group="", version="v1", plural="pods", kind="Pod")
NAMESPACES = ResourceInfo(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
CONFIG_MAPS = ResourceInfo(group="", version="v1", plural="configmaps", kind="ConfigMap")
ROUTES_V1 = ResourceInfo(group="net.example", version="v1", plural="routes", kind="Route", custom=True)
ROUTES_BETA = ResourceInfo(group="net.example", version="v1beta1", plural="routes", kind="Route", custom=True)
HOOKS = ResourceInfo(
    group="admissionregistration.k8s.io",
    version="v1",
    plural="mutatingwebhookconfigurations",
    kind="MutatingWebhookConfiguration",
    namespaced=False,
)
ALL = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}


@pytest.fixture(scope="module")
def authority():
    return pki.CertificateAuthority()


@pytest.fixture
def store():
    store = Store()
    store.put("namespaces", {"metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}})
    store.put("serviceaccounts", {"metadata": {"namespace": "shop", "name": "default", "uid": "1"}})
    return store


@pytest.fixture
def admission(store):
    return Admission(store, Registry([PODS, NAMESPACES, CONFIG_MAPS, ROUTES_V1, ROUTES_BETA, HOOKS]))


@dataclass
class Hook:
    """A webhook server that answers by path, and what it was asked."""

    port: int
    bundle: str
    asked: list = field(default_factory=list)
    answers: dict = field(default_factory=dict)

    def configure(self, store, *specs, mutating=True, name="hooks"):
        kind = "mutating" if mutating else "validating"
        webhooks = [
            {
                "name": f"h{index}.example",
                "clientConfig": {"url": f"https://127.0.0.1:{self.port}/{index}", "caBundle": self.bundle},
                "rules": [ALL],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                **spec,
            }
            for index, spec in enumerate(specs or ({},))
        ]
        store.put(
            f"{kind}webhookconfigurations.admissionregistration.k8s.io",
            {"metadata": {"name": name}, "webhooks": webhooks},
        )

    @property
    def paths(self):
        return [path for path, _ in self.asked]

    def request(self, at=0):
        return self.asked[at][1]["request"]


def allow(review, **more):
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": review["request"]["uid"], "allowed": True, **more},
    }


def patching(*operations):
    def answer(review):
        patch = base64.b64encode(json.dumps(operations).encode()).decode()
        return allow(review, patch=patch, patchType="JSONPatch")

    return answer


def add_label(key, value="yes"):
    return patching({"op": "add", "path": f"/metadata/labels/{key}", "value": value})


def denying(**status):
    return lambda review: allow(review, allowed=False, **({"status": status} if status else {}))


@asynccontextmanager
async def serving(authority, names=(), addresses=("127.0.0.1",)):
    pair = authority.server_certificate(dns_names=names, addresses=addresses)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load(context, pair)
    hook = Hook(port=0, bundle=base64.b64encode(authority.pem).decode())

    async def handle(request):
        review = await request.json()
        hook.asked.append((request.path, review))
        hook.timeout = request.query.get("timeout")
        hook.host = request.host
        answer = hook.answers.get(request.path, allow)(review)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)

    app = web.Application()
    app.router.add_post("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        await runner.cleanup()


def load(context, pair):
    with tempfile.NamedTemporaryFile() as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)


def pod(**meta):
    metadata = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, **meta}
    containers = [{"name": "app", "image": "x"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}


def config_map(**labels):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop", "labels": labels}}


async def admit(admission, obj, resource=CONFIG_MAPS, operation="CREATE", *, old=None, dry_run=False, sub=""):
    known = obj or old
    return await admission.admit(
        operation,
        resource,
        obj,
        old,
        namespace=known["metadata"].get("namespace", ""),
        name=known["metadata"].get("name", ""),
        user=ADMIN,
        dry_run=dry_run,
        subresource=sub,
    )


def with_hook(authority, check, **serving_options):
    async def main():
        async with asyncio.timeout(20), serving(authority, **serving_options) as hook:
            return await check(hook)

    return asyncio.run(main())


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


# ---------------------------------------------------------------- refusals and failures


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        ({"message": "no hosts", "code": 422}, 422, 'admission webhook "h0.example" denied the request: no hosts'),
        ({"message": "no"}, 400, 'admission webhook "h0.example" denied the request: no'),
        ({"reason": "Forbidden", "code": 200}, 400, 'admission webhook "h0.example" denied the request: Forbidden'),
        ({}, 400, 'admission webhook "h0.example" denied the request without explanation'),
    ],
)
def test_a_denial_is_worded_and_coded_as_kubernetes_does(admission, store, authority, status, code, message):
    async def check(hook):
        hook.configure(store, mutating=False)
        hook.answers = {"/0": denying(**status)}
        with pytest.raises(StatusError) as caught:
            await admit(admission, config_map())
        assert (caught.value.code, caught.value.message) == (code, message)

    with_hook(authority, check)


def bad_uid(review):
    answer = allow(review)
    answer["response"]["uid"] = "other"
    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda _: web.Response(status=500, text="boom"), 'an error on the server ("boom") has prevented'),
        (lambda _: web.Response(status=404), "the server could not find the requested resource"),
        (lambda _: web.Response(text="<html>"), "couldn't get version/kind; json parse error"),
        (lambda _: web.json_response({}), "received invalid webhook response: webhook response was absent"),
        (bad_uid, "received invalid webhook response: expected response.uid="),
        (lambda r: allow(r, patch="e30="), "webhook returned response.patch but not response.patchType"),
        (lambda r: allow(r, patch="!!", patchType="JSONPatch"), "received undecodable patch in webhook response"),
    ],
)
def test_a_nonsensical_answer_fails_the_request_unless_failures_are_ignored(admission, store, authority, answer, words):
    async def check(hook):
        hook.configure(store)
        hook.answers = {"/0": answer}
        with pytest.raises(StatusError) as caught:
            await admit(admission, config_map())
        assert caught.value.code == 500
        assert caught.value.message.startswith('Internal error occurred: failed calling webhook "h0.example": ')
        assert words in caught.value.message
        hook.configure(store, {"failurePolicy": "Ignore"})
        made = config_map()
        assert (await admit(admission, made))[0] is made

    with_hook(authority, check)


def test_a_webhook_that_nobody_serves_is_named_with_its_url(admission, store, authority):
    async def check(hook):
        store.put("services", {"metadata": {"namespace": "sys", "name": "hook"}, "spec": {"ports": [{"port": 443}]}})
        config = {"service": {"namespace": "sys", "name": "hook", "path": "/inject"}, "caBundle": hook.bundle}
        hook.configure(store, {"clientConfig": config})
        with pytest.raises(StatusError) as caught:
            await admit(admission, config_map())
        assert caught.value.message == (
            'Internal error occurred: failed calling webhook "h0.example": failed to call webhook: '
            'Post "https://hook.sys.svc:443/inject?timeout=10s": no endpoints available for service "hook"'
        )

    with_hook(authority, check)


def test_a_service_is_resolved_to_the_target_port_of_a_ready_endpoint(admission, store, authority):
    async def check(hook):
        ports = [{"name": "https", "port": 443, "targetPort": 9}]
        store.put("services", {"metadata": {"namespace": "sys", "name": "hook"}, "spec": {"ports": ports}})
        labels = {"kubernetes.io/service-name": "hook"}
        dead = {"addresses": ["127.0.0.2"], "conditions": {"ready": False}}
        store.put(
            "endpointslices.discovery.k8s.io",
            {
                "metadata": {"namespace": "sys", "name": "hook-1", "labels": labels},
                "ports": [{"name": "other", "port": 1}, {"name": "https", "port": hook.port}],
                "endpoints": [dead, {"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            },
        )
        config = {"service": {"namespace": "sys", "name": "hook", "path": "/inject"}, "caBundle": hook.bundle}
        hook.configure(store, {"clientConfig": config})
        await admit(admission, config_map())
        assert hook.paths == ["/inject"]
        assert hook.host == "hook.sys.svc:443"

    with_hook(authority, check, names=("hook.sys.svc",), addresses=())


@pytest.mark.parametrize(
    ("names", "trusted", "words"),
    [
        (("elsewhere",), True, "x509: certificate is not valid for any names, but wanted to match 127.0.0.1"),
        ((), False, "x509: certificate signed by unknown authority"),
    ],
)
def test_a_webhook_with_a_wrong_certificate_is_not_asked(admission, store, authority, names, trusted, words):
    async def check(hook):
        if not trusted:
            hook.bundle = base64.b64encode(pki.CertificateAuthority().pem).decode()
        hook.configure(store)
        with pytest.raises(StatusError) as caught:
            await admit(admission, config_map())
        assert f"tls: failed to verify certificate: {words}" in caught.value.message
        assert not hook.asked

    with_hook(authority, check, names=names, addresses=() if names else ("127.0.0.1",))


def test_a_webhook_that_does_not_answer_is_given_up_after_its_timeout(admission, store):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hook = Hook(port=silent.getsockname()[1], bundle="")
        hook.configure(store, {"timeoutSeconds": 1})
        with pytest.raises(StatusError, match=r"\?timeout=1s\": context deadline exceeded"):
            asyncio.run(admit(admission, config_map()))


def test_a_refused_connection_reads_as_in_kubernetes(admission, store):
    hook = Hook(port=1, bundle="")
    hook.configure(store)
    with pytest.raises(StatusError, match=r"dial tcp 127.0.0.1:1: connect: connection refused"):
        asyncio.run(admit(admission, config_map()))


@pytest.mark.parametrize("effects", ["Some", "Unknown", None])
def test_a_dry_run_is_refused_by_a_webhook_with_side_effects(admission, store, authority, effects):
    async def check(hook):
        hook.configure(store, {"sideEffects": effects})
        with pytest.raises(StatusError) as caught:
            await admit(admission, config_map(), dry_run=True)
        assert (caught.value.code, caught.value.message) == (
            400,
            'admission webhook "h0.example" does not support dry run',
        )
        hook.configure(store, {"sideEffects": "NoneOnDryRun"})
        await admit(admission, config_map(), dry_run=True)
        assert hook.request()["dryRun"] is True
        assert hook.request()["options"]["dryRun"] == ["All"]

    with_hook(authority, check)


def test_a_validating_webhook_may_not_patch(admission, store, authority):
    async def check(hook):
        hook.configure(store, mutating=False)
        hook.answers = {"/0": add_label("x")}
        with pytest.raises(StatusError, match=r"validating webhook may not return response\.patch"):
            await admit(admission, config_map(a="b"))

    with_hook(authority, check)


def test_configurations_are_called_in_the_order_of_their_names():
    configurations = [{"metadata": {"name": name}, "webhooks": [{"name": f"{name}.0"}]} for name in ("b", "c", "a")]
    assert [hook.name for hook in matching.webhooks_of(configurations, mutating=True)] == ["a.0", "b.0", "c.0"]
