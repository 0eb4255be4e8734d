"""The workload's key and certificate: made, asked for at istiod, renewed at half life, and handed to whoever waits.

It deliberately keeps the last good pair when the certificate service is away,
whatever its age: a proxy with an old certificate is still better than none.
Keys never leave this process except over the SDS socket.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_reference.agent import rotation
from mesh_reference.agent.environment import AgentError
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

if TYPE_CHECKING:
    from mesh_reference.agent.environment import AgentSettings
    from mesh_reference.agent.upstream import Upstream

logger = logging.getLogger(__name__)

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
CALL_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadCertificate:
    """One key, its chain (leaf first, roots last: IST-CHAIN) and the roots that peers are judged by."""

    key_pem: bytes
    chain_pem: bytes
    root_pem: bytes
    serial: int
    issued: datetime
    expires: datetime


class CertificateSource(Protocol):
    """Whoever signs: istiod, or a test."""

    async def create_certificate(self, csr_pem: str, ttl_seconds: int) -> list[str]:
        """Give the chain. Raises AgentError."""


class CertificateClient:
    """CreateCertificate over TLS with the pod's projected token."""

    def __init__(self, upstream: Upstream, settings: AgentSettings) -> None:
        self._upstream = upstream
        self._settings = settings

    async def create_certificate(self, csr_pem: str, ttl_seconds: int) -> list[str]:
        async with self._upstream.channel(self._settings.ca_address) as channel:
            call = channel.unary_unary(
                METHOD,
                request_serializer=IstioCertificateRequest.SerializeToString,
                response_deserializer=IstioCertificateResponse.FromString,
            )
            request = IstioCertificateRequest(csr=csr_pem, validity_duration=ttl_seconds)
            try:
                answer = await call(request, metadata=self._upstream.metadata(), timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise AgentError(
                    f"{self._settings.ca_address} gave no certificate: {error.code().name}: {error.details()}"
                ) from error
        return list(answer.cert_chain)


class WorkloadCertificates:
    """Keeps one current WorkloadCertificate and tells of each new one."""

    def __init__(self, source: CertificateSource, settings: AgentSettings) -> None:
        self._source = source
        self._settings = settings
        self._news = asyncio.Condition()
        self.current: WorkloadCertificate | None = None
        """None until the first one has come."""

    async def newer_than(self, seen: WorkloadCertificate | None) -> WorkloadCertificate:
        """Wait until there is a certificate other than ``seen``, and give it."""
        async with self._news:
            await self._news.wait_for(lambda: self.current is not seen)
            if self.current is None:
                raise AssertionError("a certificate never goes away")
            return self.current

    async def run(self) -> None:
        """Fetch, wait for half life, fetch again, for ever; never ends by a failure of the service."""
        failures = 0
        while True:
            try:
                fresh = await self._fetch()
            except AgentError as error:
                pause = rotation.retry_seconds(failures, spread=random.uniform(-0.1, 0.1))  # noqa: S311
                failures += 1
                keeping = f"; keeping the one until {self.current.expires.isoformat()}" if self.current else ""
                logger.warning("%s; next try in %.1f s%s", error, pause, keeping)
                await asyncio.sleep(pause)
                continue
            failures = 0
            async with self._news:
                self.current = fresh
                self._news.notify_all()
            jitter = random.uniform(-self._settings.grace_jitter, self._settings.grace_jitter)  # noqa: S311
            pause = rotation.renewal_seconds(
                now=datetime.now(UTC),
                issued=fresh.issued,
                expires=fresh.expires,
                ratio=self._settings.grace_ratio,
                jitter=jitter,
            )
            logger.info("certificate %x until %s; renewal in %.1f s", fresh.serial, fresh.expires.isoformat(), pause)
            # Clocks that differ by more than the lifetime must not turn into a storm of requests.
            await asyncio.sleep(max(pause, rotation.FIRST_RETRY_SECONDS))

    async def _fetch(self) -> WorkloadCertificate:
        key = ec.generate_private_key(ec.SECP256R1())  # a fresh one each time
        csr = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(self._settings.spiffe_id)]), critical=True
            )
            .sign(key, hashes.SHA256())
        )
        csr_pem = csr.public_bytes(serialization.Encoding.PEM).decode()
        ttl_seconds = max(round(self._settings.svid_ttl_seconds), 1)
        issued = datetime.now(UTC)
        chain = await self._source.create_certificate(csr_pem, ttl_seconds)
        if len(chain) < 2:
            raise AgentError(f"the certificate service answered {len(chain)} elements; leaf and roots are needed")
        try:
            leaf = x509.load_pem_x509_certificate(chain[0].encode())
        except ValueError as error:
            raise AgentError("the certificate service's first element is not a PEM certificate") from error
        if leaf.public_key() != key.public_key():
            raise AgentError("the certificate that came is for another key than the one that was sent")
        _compare_identity(leaf, self._settings.spiffe_id)
        return WorkloadCertificate(
            key_pem=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            chain_pem=_joined(chain),
            root_pem=_joined(chain[-1:]),
            serial=leaf.serial_number,
            issued=issued,
            expires=leaf.not_valid_after_utc,
        )


def _compare_identity(leaf: x509.Certificate, expected: str) -> None:
    """Tell of an identity that was not asked for; the sidecar serves it all the same (IST-ZT-VERIFY)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        found = []
    if found != [expected]:
        logger.error("the certificate names %s, not %s", found, expected)


def _joined(pems: list[str]) -> bytes:
    return "".join(pem if pem.endswith("\n") else pem + "\n" for pem in pems).encode()
