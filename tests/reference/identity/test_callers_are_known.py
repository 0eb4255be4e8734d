"""Other proofs than a token: a client certificate of the own trust domain, and node proxies that speak for others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from mesh_reference.ca import authority, client_certificates, serving
from mesh_reference.ca.authentication import AuthenticationError, Authenticator, Caller
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse
from mesh_reference.ca.identities import IdentityError, parse
from mesh_reference.ca.impersonation import ImpersonationError, NodeProxies
from mesh_reference.ca.rates import LARGEST, Rates
from mesh_reference.ca.server_identity import ServerIdentity
from mesh_reference.ca.succession import Succession

ALICE = "spiffe://cluster.local/ns/shop/sa/alice"
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def root(make_ca):
    return make_ca("root")


@pytest.fixture(scope="module")
def signing(make_ca, root):
    return make_ca("signing", root)


@pytest.fixture(scope="module")
def citadel(root, signing):
    return authority.Authority(
        certificate=signing.certificate,
        key=signing.key,
        trust_domain="cluster.local",
        intermediates=[signing.certificate],
        roots=[root.certificate],
    )


def context(leaf, *above) -> dict[str, list[bytes]]:
    return {"x509_pem_cert": [leaf.pem], "x509_pem_cert_chain": [leaf.pem + b"".join(one.pem for one in above)]}


def test_a_certificate_of_the_own_trust_domain_names_its_caller(citadel, signing, now):
    leaf = signing.leaf(ALICE, begins=now - HOUR, ends=now + HOUR)
    assert client_certificates.caller_of(context(leaf), citadel, now) == Caller(
        namespace="shop", service_account="alice"
    )
    assert client_certificates.caller_of({}, citadel, now) is None


def test_a_certificate_of_another_signer_under_the_same_root_is_taken(citadel, make_ca, root, now):
    sister = make_ca("sister", root)
    leaf = sister.leaf(ALICE, begins=now - HOUR, ends=now + HOUR)
    assert client_certificates.caller_of(context(leaf, sister), citadel, now)
    with pytest.raises(AuthenticationError, match="leads to no root"):
        client_certificates.caller_of(context(leaf), citadel, now)


@pytest.mark.parametrize(
    ("uris", "changes", "reason"),
    [
        ((), {}, "cannot be read"),
        ((ALICE, "spiffe://cluster.local/ns/shop/sa/bob"), {}, "2 URI SANs"),
        (("spiffe://other/ns/shop/sa/alice",), {}, "trust domain other"),
        (("https://cluster.local/ns/shop/sa/alice",), {}, "is not spiffe"),
        (("spiffe://cluster.local/ns/shop/sa/alice/more",), {}, "is not spiffe"),
        ((ALICE,), {"ends": -HOUR / 2}, "not valid at this time"),
        ((ALICE,), {"begins": HOUR / 2}, "not valid at this time"),
        ((ALICE,), {"clientauth": False}, "not one of a client"),
        ((ALICE,), {"ca": True}, "not one of a client"),
    ],
)
def test_a_certificate_that_is_wrong_is_a_refusal(citadel, signing, now, uris, changes, reason):
    moments = {"begins": now + changes.pop("begins", -HOUR), "ends": now + changes.pop("ends", HOUR)}
    leaf = signing.leaf(*uris, **moments, **changes)
    with pytest.raises(AuthenticationError, match=reason):
        client_certificates.caller_of(context(leaf), citadel, now)


def test_a_foreign_root_and_a_leaf_that_signs_are_refused(citadel, signing, make_ca, now):
    foreign = make_ca("root").leaf(ALICE, begins=now - HOUR, ends=now + HOUR)
    with pytest.raises(AuthenticationError, match="leads to no root"):
        client_certificates.caller_of(context(foreign), citadel, now)
    no_authority = make_ca("workload", signing, ca=False, signs=False)
    forged = no_authority.leaf(ALICE, begins=now - HOUR, ends=now + HOUR)
    with pytest.raises(AuthenticationError, match="is no authority"):
        client_certificates.caller_of(context(forged, no_authority), citadel, now)


def test_over_a_real_connection_the_certificate_goes_before_the_token(tokens, settings, make_csr):
    async def run() -> None:
        now = datetime.now(UTC)
        signer = authority.Authority.create("cluster.local", now=now)
        server = grpc.aio.server()
        serving.register(server, signer, Authenticator(tokens, settings), client_certificates=True)
        credentials = ServerIdentity(Succession(signer), ["localhost"]).grpc_credentials(client_certificates=True)
        port = server.add_secure_port("localhost:0", credentials)
        await server.start()
        own = authority.ec.generate_private_key(authority.ec.SECP256R1())
        alice = authority.Identity(trust_domain="cluster.local", namespace="shop", service_account="alice")
        pems = signer.sign(make_csr(own), alice, ttl=HOUR, now=now)
        pem = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        client = grpc.ssl_channel_credentials(signer.root_pem.encode(), pem, "".join(pems[:-1]).encode())
        try:
            async with grpc.aio.secure_channel(f"localhost:{port}", client) as channel:
                call = channel.unary_unary(
                    f"/{serving.SERVICE}/{serving.METHOD}",
                    request_serializer=IstioCertificateRequest.SerializeToString,
                    response_deserializer=IstioCertificateResponse.FromString,
                )
                answer = await call(
                    IstioCertificateRequest(csr=make_csr()), metadata=(("authorization", "Bearer good"),), timeout=5
                )
        finally:
            await server.stop(0)
        assert client_certificates.caller_of({"x509_pem_cert": [answer.cert_chain[0].encode()]}, signer, now) == Caller(
            namespace="shop", service_account="alice"
        )

    asyncio.run(run())


# ------------------------------------------------------------------ identities as text


def test_an_identity_is_read_and_written_the_same():
    assert parse(ALICE, "cluster.local").uri == ALICE


@given(st.text(alphabet="spiffe:/nsacluter.o%?#@ \n-A0", max_size=60).map("spiffe://cluster.local/ns/".__add__))
def test_every_text_that_is_read_has_no_second_spelling(text):
    try:
        found = parse(text, "cluster.local")
    except IdentityError:
        return
    assert found.uri == text
    assert parse(found.uri, "cluster.local") == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        ALICE + "\n",
        ALICE + "/",
        ALICE.upper(),
        ALICE.replace("shop", "Shop"),
        ALICE.replace("shop", "sh%6Fp"),
        ALICE.replace("shop", "."),
        ALICE.replace("cluster.local", "cluster.local:443"),
        f"{ALICE},{ALICE}",
        ALICE.replace("alice", "a" * 254),
    ],
)
def test_a_text_with_another_spelling_is_refused(text):
    with pytest.raises(IdentityError):
        parse(text, "cluster.local")


# ------------------------------------------------------------------ node proxies

NODE_PROXY = Caller(namespace="kube-system", service_account="ztunnel", pod_name="zt-1", pod_uid="u1")


def pod(name: str, namespace: str, account: str, node: str, uid: str = "u1", phase: str = "Running") -> dict:
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"serviceAccountName": account, "nodeName": node},
        "status": {"phase": phase},
    }


@pytest.fixture
def cluster(memory_store):
    from mesh_reference.kube.resources import PODS

    async def listed(_resource, namespace=None, *, label_selector="", field_selector=""):
        assert field_selector.startswith("spec.nodeName=")
        return [one for (space, _), one in memory_store.objects[PODS].items() if space == namespace]

    memory_store.list = listed
    memory_store.put(PODS, pod("zt-1", "kube-system", "ztunnel", "node-a"))
    memory_store.put(PODS, pod("alice-1", "shop", "alice", "node-a", uid="u2"))
    return SimpleNamespace(kube=memory_store, put=lambda one: memory_store.put(PODS, one))


def authorize(cluster, caller=NODE_PROXY, wanted=ALICE, trusted=("kube-system/ztunnel",)):
    return asyncio.run(NodeProxies(cluster.kube, trusted).authorize(caller, wanted, "cluster.local"))


def test_a_trusted_node_proxy_speaks_for_the_pods_of_its_node(cluster):
    assert authorize(cluster).uri == ALICE


@pytest.mark.parametrize(
    ("caller", "wanted", "trusted", "reason"),
    [
        ({}, ALICE, (), "no trusted node account"),
        ({"service_account": "alice"}, ALICE, ("kube-system/ztunnel",), "no trusted node account"),
        ({"pod_uid": ""}, ALICE, ("kube-system/ztunnel",), "bound to no pod"),
        ({"pod_name": "zt-2"}, ALICE, ("kube-system/ztunnel",), "is gone"),
        ({"pod_uid": "u9"}, ALICE, ("kube-system/ztunnel",), "another one by now"),
        ({}, ALICE.replace("cluster.local", "other"), ("kube-system/ztunnel",), "trust domain other"),
        ({}, ALICE.replace("alice", "bob"), ("kube-system/ztunnel",), "no pod of"),
        ({}, ALICE.replace("shop", "bank"), ("kube-system/ztunnel",), "no pod of"),
    ],
)
def test_whoever_else_asks_or_asks_for_else_is_refused(cluster, caller, wanted, trusted, reason):
    fields = {"namespace": "kube-system", "service_account": "ztunnel", "pod_name": "zt-1", "pod_uid": "u1", **caller}
    with pytest.raises(ImpersonationError, match=reason):
        authorize(cluster, Caller(**fields), wanted, trusted)


@pytest.mark.parametrize("changes", [{"node": "node-b"}, {"phase": "Failed"}, {"account": "bob"}])
def test_an_identity_that_does_not_run_on_the_node_is_refused(cluster, changes):
    fields = {"name": "alice-1", "namespace": "shop", "account": "alice", "node": "node-a", **changes}
    cluster.put(pod(**fields))
    with pytest.raises(ImpersonationError, match="no pod of"):
        authorize(cluster)


def test_a_pod_that_runs_as_another_account_than_its_token_is_refused(cluster):
    cluster.put(pod("zt-1", "kube-system", "default", "node-a"))
    with pytest.raises(ImpersonationError, match="does not run as the token says"):
        authorize(cluster)


def test_impersonation_over_the_wire_gives_the_asked_identity_and_one_name(cluster, tokens, settings, make_csr):
    extra = {"authentication.kubernetes.io/pod-name": ["zt-1"], "authentication.kubernetes.io/pod-uid": ["u1"]}
    user = {
        "username": "system:serviceaccount:kube-system:ztunnel",
        "groups": ["system:serviceaccounts"],
        "extra": extra,
    }
    tokens.status["node"] = {"authenticated": True, "audiences": ["istio-ca"], "user": user}
    wishes = struct_pb2.Struct()
    wishes.update({"ImpersonatedIdentity": ALICE})
    signer = authority.Authority.create("cluster.local", now=datetime.now(UTC))
    service = serving.CertificateService(
        signer, Authenticator(tokens, settings), nodes=NodeProxies(cluster.kube, ["kube-system/ztunnel"])
    )
    called = SimpleNamespace(
        peer=lambda: "ipv4:10.0.0.1:1",
        auth_context=dict,
        invocation_metadata=lambda: (("authorization", "Bearer node"),),
    )
    request = IstioCertificateRequest(csr=make_csr(), metadata=wishes)
    answer = asyncio.run(service.create_certificate(request, called))
    found = client_certificates.caller_of({"x509_pem_cert": [answer.cert_chain[0].encode()]}, signer, datetime.now(UTC))
    assert (found.namespace, found.service_account) == ("shop", "alice")


# ------------------------------------------------------------------ rates


def test_a_caller_may_burst_and_then_waits_and_others_do_not():
    clock = [0.0]
    rates = Rates(lambda: clock[0], per_second=2, burst=3)
    assert [rates.take("a") for _ in range(4)] == [True, True, True, False]
    assert rates.take("b")
    clock[0] = 0.5
    assert [rates.take("a") for _ in range(2)] == [True, False]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 3)), max_size=60))
def test_nobody_gets_more_than_burst_and_rate(asks):
    clock = [0.0]
    rates = Rates(lambda: clock[0], per_second=2, burst=3)
    taken = {"a": 0, "b": 0}
    for caller, pause in asks:
        clock[0] += pause
        taken[caller] += rates.take(caller)
        assert taken[caller] <= 3 + 2 * clock[0] + 1e-6


def test_the_memory_of_callers_is_bounded():
    clock = [0.0]
    rates = Rates(lambda: clock[0])
    for number in range(LARGEST + 5000):
        clock[0] += 0.0001
        assert rates.take(str(number))
    assert len(rates) <= LARGEST
