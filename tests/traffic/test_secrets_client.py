"""A workload asks an agent's SDS socket over a real Unix socket: what it reads, and that no key is in its answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from pytest_mesh.workloads.secrets_client import METHOD, SecretsError, parse_secrets, secrets

ROOTS, CHAIN, KEY = b"the roots\n" * 4000, b"a chain\n", b"a private key\n"


def held(name: str) -> secret_pb2.Secret:
    def source(text: bytes) -> base_pb2.DataSource:
        return base_pb2.DataSource(inline_bytes=text)

    if name == "ROOTCA":
        return secret_pb2.Secret(
            name=name, validation_context=common_pb2.CertificateValidationContext(trusted_ca=source(ROOTS))
        )
    pair = common_pb2.TlsCertificate(certificate_chain=source(CHAIN), private_key=source(KEY))
    return secret_pb2.Secret(name=name, tls_certificate=pair)


def answer(requests, context):
    # Like an agent's: the stream is open as long as its caller leaves it open.
    for request in requests:
        assert request.node.id
        if "unknown" in request.resource_names:
            context.abort(grpc.StatusCode.NOT_FOUND, "no secret unknown")
        if "silence" in request.resource_names:
            continue
        response = discovery_pb2.DiscoveryResponse(version_info="1", nonce="1", type_url=request.type_url)
        for name in request.resource_names:
            response.resources.add(type_url=request.type_url, value=held(name).SerializeToString())
        yield response


@pytest.fixture(scope="module")
def socket(tmp_path_factory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("sds") / "socket"
    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.stream_stream_rpc_method_handler(
        answer,
        request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
    )
    service, method = METHOD.strip("/").split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    yield str(path)
    server.stop(None).wait()


def test_a_pods_own_secrets_are_read_whole_and_its_key_stays_where_it_is(socket):
    found = secrets(socket, ["default", "ROOTCA"])

    assert found["failure"] == found["status"] == ""
    assert found["secrets"] == [
        {"name": "default", "chain": CHAIN.decode(), "roots": "", "key": True},
        {"name": "ROOTCA", "chain": "", "roots": ROOTS.decode(), "key": False},
    ]
    assert KEY.decode() not in str(found)


def test_a_refused_name_has_its_status(socket):
    found = secrets(socket, ["unknown"])

    assert (found["status"], found["message"], found["secrets"]) == ("5", "no secret unknown", [])


def test_an_agent_that_says_nothing_is_no_answer(socket):
    assert "timed out" in secrets(socket, ["silence"], timeout=0.2)["failure"]


def test_a_socket_that_nobody_listens_at_is_told(tmp_path):
    assert "FileNotFoundError" in secrets(str(Path(tmp_path, "none")), ["default"])["failure"]


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ({"names": ["default"]}, "required"),
        ({"socket": "/s", "names": []}, "required"),
        ({"socket": "/s", "names": [1]}, "strings"),
        ({"socket": "/s", "names": ["a"], "timeout": True}, "timeout"),
        ({"socket": "/s", "names": ["a"], "host": "x"}, "host"),
        ([], "object"),
    ],
)
def test_a_question_that_is_none_is_refused(question, word):
    with pytest.raises(SecretsError, match=word):
        parse_secrets(question)
