"""The workload's key and certificate: made, asked for at istiod, and renewed at half life.

It deliberately keeps the last good pair when the certificate service is away,
whatever its age: a proxy with an old certificate is still better than none.
Keys never leave this process except over the SDS socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from mesh_reference.agent import rotation
from mesh_reference.agent.environment import AgentError
from mesh_reference.agent.held_certificate import HeldCertificate, WorkloadCertificate, joined, leads_to
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mesh_reference.agent.environment import AgentSettings
    from mesh_reference.agent.upstream import Upstream
    from mesh_reference.agent.workload_keys import WorkloadKey

logger = logging.getLogger(__name__)

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
CALL_SECONDS = 10.0
FOLLOW_SECONDS = 1.0
"""How often the mounted roots are looked at; the kubelet itself is slower."""


def _wall_clock() -> datetime:
    return datetime.now(UTC)


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
        chain = list(answer.cert_chain)
        self._upstream.learn(joined(chain[-1:]))
        return chain


class WorkloadCertificates(HeldCertificate):
    """Keeps one current WorkloadCertificate, renews it, and tells of each new one."""

    def __init__(
        self, source: CertificateSource, settings: AgentSettings, *, clock: Callable[[], datetime] = _wall_clock
    ) -> None:
        super().__init__()
        self._clock = clock
        self._source = source
        self._settings = settings
        self._cut_off = asyncio.Event()

    async def run(self) -> None:
        """Fetch, wait for half life, fetch again, for ever; never ends by a failure of the service."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._renew())
            tasks.create_task(self._follow_roots())

    async def _renew(self) -> None:
        failures = 0
        while True:
            self._cut_off.clear()
            try:
                fresh = await self._fetch()
            except AgentError as error:
                pause = rotation.retry_seconds(failures, spread=random.uniform(-0.1, 0.1))  # noqa: S311
                failures += 1
                self.trouble = str(error)
                keeping = f"; keeping the one until {self.current.expires.isoformat()}" if self.current else ""
                logger.warning("%s; next try in %.1f s%s", error, pause, keeping)
                await asyncio.sleep(pause)
                continue
            failures = 0
            await self._put(fresh)
            jitter = random.uniform(-self._settings.grace_jitter, self._settings.grace_jitter)  # noqa: S311
            pause = rotation.renewal_seconds(
                now=self._clock(),
                issued=fresh.issued,
                expires=fresh.expires,
                ratio=self._settings.grace_ratio,
                jitter=jitter,
            )
            logger.info("certificate %x until %s; renewal in %.1f s", fresh.serial, fresh.expires.isoformat(), pause)
            with contextlib.suppress(TimeoutError):
                # Clocks that differ by more than the lifetime must not turn into a storm of requests.
                async with asyncio.timeout(max(pause, rotation.FIRST_RETRY_SECONDS)):
                    await self._cut_off.wait()

    async def _follow_roots(self) -> None:
        """Take another bundle as soon as the mounted file has it: an added root must be known before it signs.

        Waiting for the next renewal would leave this proxy with the old bundle
        for half its certificate's life. A bundle without the root above the
        certificate means that this one is worth nothing any more: it is renewed.
        """
        path, seen = self._settings.paths.root, b""
        while True:
            found = _bundle(path)
            if found and seen and found != seen and self.current is not None and found != self.current.root_pem:
                logger.info("the mounted roots changed")
                changed = replace(self.current, root_pem=found)
                await self._put(changed, renewed=False)
                if not leads_to(changed.chain_pem, found):
                    logger.warning("the certificate's root is gone from the mounted roots: renewing at once")
                    self._cut_off.set()
            seen = found or seen
            await asyncio.sleep(FOLLOW_SECONDS)

    async def _fresh_key(self) -> WorkloadKey:
        """Make another key for each certificate; one of RSA takes so long that the SDS streams would wait for it."""
        kind = self._settings.key_kind
        return await asyncio.to_thread(kind.fresh) if kind.rsa_bits else kind.fresh()

    async def _fetch(self) -> WorkloadCertificate:
        key = await self._fresh_key()
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
        issued = self._clock()
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
            chain_pem=joined(chain),
            root_pem=joined(chain[-1:]),
            serial=leaf.serial_number,
            issued=issued,
            expires=leaf.not_valid_after_utc,
        )


def _bundle(path: Path) -> bytes:
    """Read the mounted roots; nothing while they cannot be read whole."""
    try:
        found = path.read_bytes()
        if len(x509.load_pem_x509_certificates(found)) != found.count(b"-----BEGIN "):
            return b""
    except (OSError, ValueError):
        return b""
    return found if found.endswith(b"\n") else found + b"\n"


def _compare_identity(leaf: x509.Certificate, expected: str) -> None:
    """Tell of an identity that was not asked for; the sidecar serves it all the same (IST-ZT-VERIFY)."""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        found = []
    if found != [expected]:
        logger.error("the certificate names %s, not %s", found, expected)
