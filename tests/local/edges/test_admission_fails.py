"""Webhooks that refuse, fail or answer nonsense: what the request gets, word by word."""

from __future__ import annotations

import asyncio
import base64
import socket
import sys
from pathlib import Path

import pytest
from aiohttp import web

from pytest_mesh.clusters.local.apiserver import pki
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.webhooks import matching

sys.path.insert(0, str(Path(__file__).parent))

from admission_asked import Hook, add_label, admit, allow, config_map, denying, with_hook


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
