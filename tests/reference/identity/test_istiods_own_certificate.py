"""istiod's own certificate follows the authority: each handshake shows the one in force, and none is refused meanwhile."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from datetime import UTC, datetime

import grpc
import pytest
from cryptography import x509

from mesh_reference.ca import authority, serving, succession
from mesh_reference.ca.authentication import Authenticator
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse
from mesh_reference.ca.server_identity import ServerIdentity


@pytest.fixture(scope="module")
def make(make_ca):
    cas = {name: make_ca(name, now=datetime.now(UTC)) for name in ("old", "new")}

    def make(signing: str, *bundle: str) -> authority.Authority:
        return authority.Authority(
            certificate=cas[signing].certificate,
            key=cas[signing].key,
            trust_domain="cluster.local",
            roots=[cas[name].certificate for name in bundle],
        )

    return make


STEPS = (("old", "old", "new"), ("new", "old", "new"), ("new", "new"))


def test_grpc_clients_of_each_step_are_served_without_a_restart(make, tokens, settings, make_csr, until):
    async def run() -> None:
        live = succession.Succession(make("old", "old"))
        own = ServerIdentity(live, ["localhost"])
        server = grpc.aio.server()
        serving.register(server, live, Authenticator(tokens, settings))
        port = server.add_secure_port("localhost:0", own.grpc_credentials())
        await server.start()
        following = asyncio.create_task(own.follow())

        async def ask(root_pem: str) -> list[str]:
            credentials = grpc.ssl_channel_credentials(root_pem.encode())
            options = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
                call = channel.unary_unary(
                    f"/{serving.SERVICE}/{serving.METHOD}",
                    request_serializer=IstioCertificateRequest.SerializeToString,
                    response_deserializer=IstioCertificateResponse.FromString,
                )
                request = IstioCertificateRequest(csr=make_csr())
                answer = await call(request, metadata=(("authorization", "Bearer good"),), timeout=5)
                return list(answer.cert_chain)

        try:
            before = live.root_pem
            for step in STEPS:
                await live.replace(make(*step))
                await until(lambda: own._known is live.current)
                # Whoever has the bundle of the step before is served as well as who has the new one.
                for bundle in (before, live.root_pem):
                    assert (await ask(bundle))[-1] == live.root_pem
                before = live.root_pem
        finally:
            following.cancel()
            await server.stop(0)

    asyncio.run(run())


def test_a_tls_context_that_is_in_use_shows_the_new_certificate(make):
    live = succession.Succession(make("old", "old", "new"))
    own = ServerIdentity(live, ["localhost"])
    listener = socket.create_server(("127.0.0.1", 0))
    context = own.tls_context()

    def serve() -> None:
        for _ in range(2):
            plain, _ = listener.accept()
            with context.wrap_socket(plain, server_side=True):
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    issuers = []
    for signing in ("old", "new"):
        asyncio.run(live.replace(make(signing, "old", "new")))
        own.renew()
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(cadata=make(signing, signing).root_pem)
        plain = socket.create_connection(listener.getsockname())
        with client.wrap_socket(plain, server_hostname="localhost") as tls:
            shown = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
        issuers.append(shown.issuer.rfc4514_string())
    thread.join()
    listener.close()
    assert issuers == ["O=old", "O=new"]
