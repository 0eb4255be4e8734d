"""Tokens, TokenRequest and TokenReview."""

from __future__ import annotations

import datetime as dt
import json
import os
import ssl
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mesh.clusters.local.apiserver import kubeconfigs, pki, tokens
from pytest_mesh.clusters.local.apiserver.authentication import Authenticator
from pytest_mesh.clusters.local.apiserver.errors import StatusError
from pytest_mesh.clusters.local.apiserver.store import Store


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    store = Store()
    store.put("serviceaccounts", {"metadata": {"namespace": "shop", "name": "web", "uid": "sa-1"}})
    pod_meta = {"namespace": "shop", "name": "web-1", "uid": "pod-1"}
    store.put("pods", {"metadata": pod_meta, "spec": {"serviceAccountName": "web", "nodeName": "mesh-node"}})
    store.put("nodes", {"metadata": {"name": "mesh-node", "uid": "node-1"}})
    return store


@pytest.fixture
def authenticator(store, clock):
    return Authenticator(store, clock=clock)


BOUND = {"kind": "Pod", "apiVersion": "v1", "name": "web-1", "uid": "pod-1"}


def request(authenticator, **spec):
    return authenticator.request("shop", "web", {"spec": spec})


def review(authenticator, token, *audiences):
    spec = {"token": token, **({"audiences": list(audiences)} if audiences else {})}
    return authenticator.review({"spec": spec})["status"]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_the_admin_token_is_the_administrator(authenticator):
    assert "system:masters" in authenticator.authenticate(bearer(authenticator.admin_token)).groups


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), bearer(""), {"Authorization": "Basic YTpi"}, bearer("a.b.c")])
def test_bad_or_no_credentials_are_unauthorized(authenticator, headers):
    with pytest.raises(StatusError) as caught:
        authenticator.authenticate(headers)
    assert caught.value.code == 401


def test_a_websocket_may_carry_its_token_as_a_subprotocol(authenticator):
    encoded = tokens._encode(authenticator.admin_token.encode())
    headers = {"Sec-WebSocket-Protocol": f"v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}"}
    assert authenticator.authenticate(headers).username == "kubernetes-admin"


def test_a_token_request_gets_a_token_of_its_audience_and_lifetime(authenticator, clock):
    answer = request(authenticator, audiences=["istio-ca"], expirationSeconds=7200, boundObjectRef=BOUND)
    claims = authenticator.signer.verify(answer["status"]["token"])
    assert claims["aud"] == ["istio-ca"]
    assert claims["exp"] - claims["iat"] == 7200
    assert claims["sub"] == "system:serviceaccount:shop:web"
    assert claims["kubernetes.io"] == {
        "namespace": "shop",
        "serviceaccount": {"name": "web", "uid": "sa-1"},
        "pod": {"name": "web-1", "uid": "pod-1"},
        "node": {"name": "mesh-node", "uid": "node-1"},
    }
    expires = dt.datetime.fromisoformat(answer["status"]["expirationTimestamp"]).timestamp()
    assert expires == clock.now + 7200


def test_a_service_account_token_authenticates_to_the_api_server(authenticator):
    user = authenticator.authenticate(bearer(request(authenticator)["status"]["token"]))
    assert user.username == "system:serviceaccount:shop:web"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")


def test_a_token_for_another_audience_does_not_authenticate_to_the_api_server(authenticator):
    token = request(authenticator, audiences=["istio-ca"])["status"]["token"]
    with pytest.raises(StatusError):
        authenticator.authenticate(bearer(token))
    assert review(authenticator, token, "istio-ca")["authenticated"]


def test_a_review_names_the_pod_of_the_token(authenticator):
    token = request(authenticator, audiences=["istio-ca"], boundObjectRef=BOUND)["status"]["token"]
    status = review(authenticator, token, "istio-ca", "other")
    assert status["audiences"] == ["istio-ca"]
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["web-1"]
    assert status["user"]["extra"]["authentication.kubernetes.io/pod-uid"] == ["pod-1"]


def test_a_review_for_another_audience_says_which(authenticator):
    token = request(authenticator, audiences=["istio-ca"])["status"]["token"]
    status = review(authenticator, token, "vault")
    assert "authenticated" not in status
    assert status["error"] == (
        '[invalid bearer token, token audiences ["istio-ca"] is invalid for the target audiences ["vault"]]'
    )


def test_a_review_refuses_the_token_of_a_pod_that_is_gone(authenticator, store):
    token = request(authenticator, boundObjectRef=BOUND)["status"]["token"]
    assert review(authenticator, token)["authenticated"]
    store.remove("pods", "shop", "web-1")
    assert review(authenticator, token)["error"] == "[invalid bearer token, service account token has been invalidated]"


def test_a_review_refuses_the_token_of_a_pod_made_again(authenticator, store):
    token = request(authenticator, boundObjectRef=BOUND)["status"]["token"]
    store.put("pods", {"metadata": {"namespace": "shop", "name": "web-1", "uid": "pod-2"}, "spec": {}})
    assert "pod UID (pod-2) does not match" in review(authenticator, token)["error"]


def test_a_review_refuses_the_token_of_a_service_account_that_is_gone(authenticator, store):
    token = request(authenticator)["status"]["token"]
    store.remove("serviceaccounts", "shop", "web")
    assert review(authenticator, token)["error"] == '[invalid bearer token, serviceaccounts "web" not found]'


def test_a_pod_being_deleted_keeps_its_token_for_a_minute(authenticator, store, clock):
    token = request(authenticator, boundObjectRef=BOUND)["status"]["token"]
    deleted = dt.datetime.fromtimestamp(clock.now, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    meta = {"namespace": "shop", "name": "web-1", "uid": "pod-1", "deletionTimestamp": deleted}
    store.put("pods", {"metadata": meta, "spec": {}})
    clock.now += 59
    assert review(authenticator, token)["authenticated"]
    clock.now += 2
    assert "error" in review(authenticator, token)


def test_a_token_expires(authenticator, clock):
    token = request(authenticator, expirationSeconds=600)["status"]["token"]
    clock.now += 600
    assert review(authenticator, token)["authenticated"]
    clock.now += tokens.LEEWAY + 1
    assert review(authenticator, token)["error"] == "[invalid bearer token, service account token has expired]"


def test_a_token_of_another_run_is_refused(authenticator, store):
    token = request(Authenticator(store))["status"]["token"]
    assert "invalid signature" in review(authenticator, token)["error"]


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_a_token_with_one_byte_changed_is_never_accepted(position, flip):
    store = Store()
    store.put("serviceaccounts", {"metadata": {"namespace": "shop", "name": "web", "uid": "sa-1"}})
    authenticator = Authenticator(store)
    token = request(authenticator)["status"]["token"]
    place = position % len(token)
    changed = token[:place] + chr((ord(token[place]) ^ flip) & 0x7F) + token[place + 1 :]
    # Unused low bits at the end of a base64 segment carry nothing; strict readers may still accept them.
    assert changed == token or place in unused_places(token) or "error" in review(authenticator, changed)


def unused_places(token):
    ends, total = [], -1
    for segment in token.split("."):
        total += len(segment) + 1
        ends.append(total - 1)
    return ends


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"expirationSeconds": 599}, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 1 << 33}, "may not specify a duration larger than 2^32 seconds"),
        ({"boundObjectRef": {**BOUND, "uid": "other"}}, "does not match the UID in record"),
        ({"boundObjectRef": {**BOUND, "name": "gone"}}, 'pods "gone" not found'),
        ({"boundObjectRef": {**BOUND, "kind": "Service"}}, "cannot bind token to object of type"),
    ],
)
def test_a_token_request_that_may_not_be_is_refused_with_its_reason(authenticator, spec, message):
    with pytest.raises(StatusError) as caught:
        request(authenticator, **spec)
    assert message in caught.value.message


def test_a_token_is_not_bound_to_a_pod_of_another_service_account(authenticator, store):
    store.put("serviceaccounts", {"metadata": {"namespace": "shop", "name": "db", "uid": "sa-2"}})
    with pytest.raises(StatusError, match="pod running with different serviceaccount name"):
        authenticator.request("shop", "db", {"spec": {"boundObjectRef": BOUND}})


def test_the_key_set_names_the_key_of_the_tokens(authenticator):
    (key,) = authenticator.signer.jwks()["keys"]
    header = request(authenticator)["status"]["token"].split(".")[0]
    assert json.loads(tokens.decode_segment(header)) == {"alg": "ES256", "kid": key["kid"]}
    assert len(tokens.decode_segment(key["x"])) == len(tokens.decode_segment(key["y"])) == 32


def test_the_serving_certificate_names_every_way_to_the_api_server(tmp_path):
    context = pki.serving_context(tmp_path, "10.244.0.1")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for name in (*pki.DNS_NAMES, "127.0.0.1", "10.244.0.1", "10.96.0.1"):
        handshake(context, client, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, client, "elsewhere.example")


def handshake(server_context, client_context, name):
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = server_context.wrap_bio(up, down, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_private_files_are_the_owners_alone(tmp_path):
    old = os.umask(0)
    try:
        pki.serving_context(tmp_path, "10.244.0.1")
        kubeconfigs.write(tmp_path / "kubeconfig", server="https://127.0.0.1:1", ca_pem=b"x", token="t")
    finally:
        os.umask(old)
    for name in ("apiserver.key", "kubeconfig"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
