"""SDS for the Envoy next door: ``default`` (key and chain) and ``ROOTCA`` over StreamSecrets (IST-SDS).

It deliberately serves this pod's own two secrets and no other name, and
neither the delta nor the fetch form, which Envoy does not ask for here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from mesh_reference.agent.held_certificate import HeldCertificate, WorkloadCertificate

logger = logging.getLogger(__name__)

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"
TYPE_URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
WORKLOAD = "default"
ROOT = "ROOTCA"


class SecretDiscovery:
    """Answers StreamSecrets: at once when there is a certificate, and again on the open stream at each new one."""

    def __init__(self, certificates: HeldCertificate) -> None:
        self._certificates = certificates

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to ``server``; call it before the server starts."""
        handler = grpc.stream_stream_rpc_method_handler(
            self.stream_secrets,
            request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": handler}),))

    async def stream_secrets(
        self, requests: AsyncIterator[discovery_pb2.DiscoveryRequest], context: grpc.aio.ServicerContext
    ) -> None:
        names: tuple[str, ...] = ()
        sent: dict[str, bytes] = {}
        nonce = 0
        current: WorkloadCertificate | None = None
        reading = asyncio.ensure_future(anext(requests, None))
        waiting = asyncio.ensure_future(self._certificates.newer_than(None))
        try:
            while True:
                await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
                if waiting.done():
                    current = waiting.result()
                    waiting = asyncio.ensure_future(self._certificates.newer_than(current))
                if reading.done():
                    request = reading.result()
                    if request is None:
                        return
                    reading = asyncio.ensure_future(anext(requests, None))
                    names = tuple(request.resource_names)
                    sent = {name: content for name, content in sent.items() if name in names}
                    await self._check(request, context)
                if current is None:
                    continue
                secrets = {name: _secret(name, current) for name in names}
                fresh = {name: body for name, body in secrets.items() if sent.get(name) != body}
                if not fresh:
                    continue  # an ACK, or a renewal that changed none of these
                nonce += 1
                await context.write(_response(list(secrets.values()), current, nonce))
                sent = secrets
                logger.info("SDS: sent %s of certificate %x", ", ".join(names), current.serial)
        finally:
            reading.cancel()
            waiting.cancel()

    async def _check(self, request: discovery_pb2.DiscoveryRequest, context: grpc.aio.ServicerContext) -> None:
        if request.type_url not in {"", TYPE_URL}:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"type {request.type_url} is not served here")
        if unknown := [name for name in request.resource_names if name not in {WORKLOAD, ROOT}]:
            text = f"no secret {', '.join(unknown)}: this pod has {WORKLOAD} and {ROOT}"
            logger.error("SDS: %s", text)
            await context.abort(grpc.StatusCode.NOT_FOUND, text)
        if request.HasField("error_detail"):
            logger.error("SDS: Envoy refused %s: %s", list(request.resource_names), request.error_detail.message)


def _secret(name: str, certificate: WorkloadCertificate) -> bytes:
    if name == ROOT:
        secret = secret_pb2.Secret(
            name=name,
            validation_context=common_pb2.CertificateValidationContext(
                trusted_ca=base_pb2.DataSource(inline_bytes=certificate.root_pem)
            ),
        )
    else:
        secret = secret_pb2.Secret(
            name=name,
            tls_certificate=common_pb2.TlsCertificate(
                certificate_chain=base_pb2.DataSource(inline_bytes=certificate.chain_pem),
                private_key=base_pb2.DataSource(inline_bytes=certificate.key_pem),
            ),
        )
    body: bytes = secret.SerializeToString(deterministic=True)
    return body


def _response(secrets: list[bytes], certificate: WorkloadCertificate, nonce: int) -> discovery_pb2.DiscoveryResponse:
    response = discovery_pb2.DiscoveryResponse(
        version_info=f"{certificate.serial:x}", type_url=TYPE_URL, nonce=str(nonce)
    )
    for secret in secrets:
        response.resources.add(type_url=TYPE_URL, value=secret)
    return response
