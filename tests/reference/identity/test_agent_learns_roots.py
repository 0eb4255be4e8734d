"""An agent believes an istiod under a root that came with its certificate, before the kubelet has brought that root."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import grpc
import pytest

from mesh_reference.agent.environment import AgentError
from mesh_reference.agent.upstream import Upstream
from mesh_reference.agent.workload_certificates import METHOD, CertificateClient
from mesh_reference.ca.authority import Authority, Identity
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

WORKLOAD = Identity(trust_domain="cluster.local", namespace="shop", service_account="reviews")


def authority() -> Authority:
    return Authority.create("cluster.local", now=datetime.now(UTC))


@contextlib.asynccontextmanager
async def serving(signer: Authority, roots: str):
    """Answer as an istiod whose own certificate and whose leaves are of ``signer``, and which publishes ``roots``."""

    async def answer(request, _context):
        leaf, *_ = signer.sign(request.csr, WORKLOAD, ttl=timedelta(hours=1), now=datetime.now(UTC))
        return IstioCertificateResponse(cert_chain=[leaf, roots])

    chain, key = signer.issue_server_certificate(["localhost"])
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=IstioCertificateRequest.FromString,
        response_serializer=IstioCertificateResponse.SerializeToString,
    )
    service, method = METHOD.strip("/").split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    credentials = grpc.ssl_server_credentials([(key.encode(), chain.encode())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"localhost:{port}"
    finally:
        await server.stop(None)


def test_an_added_root_is_believed_before_the_mounted_file_has_it(tmp_path, make_csr):
    old, new = authority(), authority()
    root, token = tmp_path / "root-cert.pem", tmp_path / "token"
    root.write_text(old.root_pem.rstrip())
    token.write_text("a token")
    paths = SimpleNamespace(root=root, token=token)

    async def run() -> None:
        async with (
            serving(old, old.root_pem) as before,
            serving(old, old.root_pem + new.root_pem) as added,
            serving(new, new.root_pem) as switched,
        ):
            settings = SimpleNamespace(paths=paths, cluster_id="Kubernetes", ca_address=before)
            client = CertificateClient(Upstream(settings), settings)

            async def ask(address: str) -> list[str]:
                settings.ca_address = address
                return await client.create_certificate(make_csr(), 3600)

            assert await ask(before)
            with pytest.raises(AgentError, match="UNAVAILABLE"):
                await ask(switched)
            assert await ask(added)
            assert await ask(switched)
            root.write_text(new.root_pem)
            with pytest.raises(AgentError, match="UNAVAILABLE"):
                await ask(before)

    asyncio.run(run())
