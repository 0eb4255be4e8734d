"""SDS over a real Unix socket: what is served, pushed, and refused; and how certificates are renewed behind it."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from mesh_reference.agent import environment, sds
from mesh_reference.agent.workload_certificates import WorkloadCertificates
from mesh_reference.ca import authority

METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
BUDGET_SECONDS = 5


def agent_settings(**changes) -> environment.AgentSettings:
    given = {"pod_name": "reviews-1", "namespace": "shop", "address": "10.0.0.1", "service_account": "reviews"}
    return environment.AgentSettings(**{**given, **changes})


class Signer:
    """A certificate service in memory; ``broken`` makes it fail, ``lives`` counts what it signed."""

    def __init__(self) -> None:
        self.authority = authority.Authority.create("cluster.local", now=datetime.now(UTC))
        self.identity = authority.Identity(trust_domain="cluster.local", namespace="shop", service_account="reviews")
        self.broken = False
        self.failures = 0
        self.keys: list[bytes] = []

    async def has_failed(self, times: int) -> None:
        while self.failures < times:  # noqa: ASYNC110 - every stream's own budget ends it
            await asyncio.sleep(0.01)

    async def create_certificate(self, csr_pem: str, ttl_seconds: int) -> list[str]:
        if self.broken:
            self.failures += 1
            raise environment.AgentError("the certificate service is away")
        self.keys.append(x509.load_pem_x509_csr(csr_pem.encode()).public_key().public_numbers().x.to_bytes(32))
        now = datetime.now(UTC)
        return self.authority.sign(csr_pem, self.identity, ttl=timedelta(seconds=ttl_seconds), now=now)


@contextlib.asynccontextmanager
async def serving(tmp_path, signer, **settings):
    certificates = WorkloadCertificates(signer, agent_settings(**settings))
    server = grpc.aio.server()
    sds.SecretDiscovery(certificates).register(server)
    server.add_insecure_port(f"unix:{tmp_path}/sds")
    await server.start()
    renewing = asyncio.create_task(certificates.run())
    try:
        async with asyncio.timeout(BUDGET_SECONDS), grpc.aio.insecure_channel(f"unix:{tmp_path}/sds") as channel:
            open_stream = channel.stream_stream(
                METHOD,
                request_serializer=discovery_pb2.DiscoveryRequest.SerializeToString,
                response_deserializer=discovery_pb2.DiscoveryResponse.FromString,
            )
            yield SimpleNamespace(open=open_stream, certificates=certificates)
    finally:
        renewing.cancel()
        await server.stop(0)


def wanted(*names: str, **fields) -> discovery_pb2.DiscoveryRequest:
    return discovery_pb2.DiscoveryRequest(type_url=sds.TYPE_URL, resource_names=names, **fields)


def secrets(response) -> dict[str, secret_pb2.Secret]:
    parsed = [secret_pb2.Secret.FromString(resource.value) for resource in response.resources]
    return {secret.name: secret for secret in parsed}


def test_both_names_are_served_and_belong_together(tmp_path):
    async def run() -> None:
        async with serving(tmp_path, Signer()) as running:
            stream = running.open()
            await stream.write(wanted("default"))
            pair = secrets(await stream.read())["default"].tls_certificate
            other = running.open()
            await other.write(wanted("ROOTCA"))
            root_pem = secrets(await other.read())["ROOTCA"].validation_context.trusted_ca.inline_bytes
            leaf, *rest = x509.load_pem_x509_certificates(pair.certificate_chain.inline_bytes)
            root = x509.load_pem_x509_certificate(root_pem)
            leaf.verify_directly_issued_by(root)
            assert rest == [root]
            key = load_pem_private_key(pair.private_key.inline_bytes, None)
            assert key.public_key() == leaf.public_key()

    asyncio.run(run())


def test_a_renewal_is_pushed_on_the_open_stream_with_a_new_key_and_the_root_is_not_repeated(tmp_path):
    async def run() -> None:
        signer = Signer()
        async with serving(tmp_path, signer, svid_ttl_seconds=2) as running:
            stream, roots = running.open(), running.open()
            await stream.write(wanted("default"))
            await roots.write(wanted("ROOTCA"))
            seen = []
            for _ in range(3):
                response = await stream.read()
                await stream.write(wanted("default", version_info=response.version_info, response_nonce=response.nonce))
                seen.append(secrets(response)["default"].tls_certificate.private_key.inline_bytes)
            assert len(set(seen)) == 3
            assert len(set(signer.keys)) == len(signer.keys)
            await roots.read()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await roots.read()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["another", "file-cert:/etc/passwd", "kubernetes://secret", ""])
def test_any_other_name_is_refused(tmp_path, name):
    async def run() -> None:
        async with serving(tmp_path, Signer()) as running:
            stream = running.open()
            await stream.write(wanted("default", name))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stream.read()
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    asyncio.run(run())


def test_a_stream_opened_before_the_first_certificate_waits_for_it(tmp_path):
    async def run() -> None:
        signer = Signer()
        signer.broken = True
        async with serving(tmp_path, signer) as running:
            stream = running.open()
            await stream.write(wanted("default"))
            await signer.has_failed(1)
            assert running.certificates.current is None
            signer.broken = False
            assert "default" in secrets(await stream.read())

    asyncio.run(run())


def test_a_missing_service_leaves_the_old_certificate_in_place_until_it_is_back(tmp_path):
    async def run() -> None:
        signer = Signer()
        async with serving(tmp_path, signer, svid_ttl_seconds=2) as running:
            first = await running.certificates.newer_than(None)
            signer.broken = True
            await signer.has_failed(3)
            assert running.certificates.current is first
            late = running.open()
            await late.write(wanted("default"))
            body = secrets(await late.read())["default"].tls_certificate
            assert body.private_key.inline_bytes == first.key_pem
            signer.broken = False
            assert (await running.certificates.newer_than(first)).serial != first.serial

    asyncio.run(run())


def test_a_certificate_for_another_key_is_not_taken(tmp_path, make_csr):
    class Confused(Signer):
        async def create_certificate(self, _csr_pem: str, ttl_seconds: int) -> list[str]:
            self.failures += 1
            return await super().create_certificate(make_csr(), ttl_seconds)

    async def run() -> None:
        signer = Confused()
        async with serving(tmp_path, signer) as running:
            await signer.has_failed(2)
            assert running.certificates.current is None

    asyncio.run(run())
