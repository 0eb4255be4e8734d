"""The certificate service: istio.v1.auth.IstioCertificateService/CreateCertificate over grpc.aio.

It deliberately holds no rule of its own: who calls is the Authenticator's
word, what is signed is the Authority's. Here the two meet, refusals get their
status codes (IST-CODES), and every decision leaves one audit line without
token or key.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from mesh_reference.ca import authentication, authority, csr, metrics
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse
from mesh_reference.ca.client_certificates import caller_of
from mesh_reference.ca.impersonation import ImpersonationError
from mesh_reference.ca.rates import Rates
from mesh_reference.ca.succession import Succession

if TYPE_CHECKING:
    from collections.abc import Callable

    from mesh_reference.ca.impersonation import NodeProxies

audit = logging.getLogger(f"{__name__}.audit")

SERVICE = "istio.v1.auth.IstioCertificateService"
METHOD = "CreateCertificate"
IMPERSONATION = "ImpersonatedIdentity"
REVIEW_SECONDS = 10.0
"""As long as an agent waits for its answer."""
IMPERSONATION_REFUSAL = "request impersonation authentication failure"


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class CertificateService:
    """Answers certificate requests."""

    def __init__(
        self,
        signer: authority.Authority | Succession,
        authenticator: authentication.Authenticator,
        *,
        client_certificates: bool = False,
        nodes: NodeProxies | None = None,
        rates: Rates | None = None,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        """``nodes`` judges impersonation; without it nobody may. ``rates`` bounds what one pod may ask.

        ``client_certificates``: the server's port asks its callers for one; else none is looked for.
        """
        self._signer = signer
        self._authenticator = authenticator
        self._by_certificate = client_certificates
        self._nodes = nodes
        self._rates = Rates(time.monotonic) if rates is None else rates
        self._clock = clock

    async def create_certificate(
        self, request: IstioCertificateRequest, context: grpc.aio.ServicerContext
    ) -> IstioCertificateResponse:
        """Sign the request for its caller's own identity, whatever names the CSR holds."""
        metrics.REQUESTS.inc()
        signer = self._signer.current  # one authority for the whole answer, whoever succeeds it meanwhile
        peer = context.peer()
        try:
            caller = await self._caller(context, signer)
        except authentication.AuthenticationError as error:
            metrics.UNAUTHENTICATED.inc()
            await _refuse(context, grpc.StatusCode.UNAUTHENTICATED, authentication.REFUSAL, peer, str(error))
        identity = authority.Identity(
            trust_domain=signer.trust_domain, namespace=caller.namespace, service_account=caller.service_account
        )
        who = f"{peer} as {identity.uri} (pod {caller.pod_name or 'unbound'})"
        wishes: dict[str, Any] = dict(request.metadata) if request.HasField("metadata") else {}
        if wanted := wishes.pop(IMPERSONATION, ""):
            try:
                identity = await self._impersonated(caller, str(wanted), signer.trust_domain)
            except ImpersonationError as error:
                metrics.UNAUTHENTICATED.inc()
                await _refuse(context, grpc.StatusCode.UNAUTHENTICATED, IMPERSONATION_REFUSAL, who, str(error))
            who += f" for {identity.uri}"
        holder = f"{caller.pod_uid or peer.rpartition(':')[0]} {identity.uri}"
        if not self._rates.take(holder):
            metrics.LIMITED.inc()
            text = "too many certificate requests of this workload: slow down"
            await _refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, text, who, text)
        if wishes.get("CertSigner"):
            text = "CertSigner is not supported: the built-in authority is the only signer"
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, text, who, text)
        try:
            leaf = signer.issue(request.csr, identity, ttl=_duration(request.validity_duration), now=self._clock())
        except csr.CsrError as error:
            metrics.BAD_CSRS.inc()
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error), who, str(error))
        except authority.SignerError as error:
            metrics.SIGN_ERRORS.inc()
            await _refuse(context, grpc.StatusCode.INTERNAL, str(error), who, str(error))
        if isinstance(self._signer, Succession):
            self._signer.note(holder, leaf.not_valid_after_utc, under=signer)
        metrics.ISSUED.inc()
        audit.info("signed for %s: serial %x, until %s", who, leaf.serial_number, leaf.not_valid_after_utc.isoformat())
        return IstioCertificateResponse(cert_chain=signer.chain(leaf))

    async def _caller(self, context: grpc.aio.ServicerContext, signer: authority.Authority) -> authentication.Caller:
        """Ask the connection's certificate first, then the token (IST-AUTHN-ORDER)."""
        if self._by_certificate:
            known = caller_of(context.auth_context(), signer, self._clock())
            if known is not None:
                return known
        metadata = context.invocation_metadata()
        remembered = self._authenticator.known(metadata)
        if remembered is not None:
            return remembered
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                return await self._authenticator.authenticate(metadata)
        except TimeoutError as error:
            raise authentication.AuthenticationError(f"the token was not reviewed in {REVIEW_SECONDS:g} s") from error

    async def _impersonated(self, caller: authentication.Caller, wanted: str, trust_domain: str) -> authority.Identity:
        if self._nodes is None:
            raise ImpersonationError("no trusted node accounts")
        return await self._nodes.authorize(caller, wanted, trust_domain)


def register(
    server: grpc.aio.Server,
    signer: authority.Authority | Succession,
    authenticator: authentication.Authenticator,
    *,
    client_certificates: bool = False,
    nodes: NodeProxies | None = None,
    rates: Rates | None = None,
    clock: Callable[[], datetime] = _wall_clock,
) -> None:
    """Add the service to ``server``; call it before the server starts. Options as of CertificateService."""
    service = CertificateService(
        signer, authenticator, client_certificates=client_certificates, nodes=nodes, rates=rates, clock=clock
    )
    handler = grpc.unary_unary_rpc_method_handler(
        service.create_certificate,
        request_deserializer=IstioCertificateRequest.FromString,
        response_serializer=IstioCertificateResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))


def _duration(seconds: int) -> timedelta:
    """Read the wire's seconds; what no timedelta can hold is longer than any maximum, or no wish at all."""
    limit = int(timedelta.max.total_seconds()) - 1
    return timedelta(seconds=max(min(seconds, limit), 0))


async def _refuse(
    context: grpc.aio.ServicerContext, code: grpc.StatusCode, answer: str, who: str, reason: str
) -> NoReturn:
    audit.warning("refused %s: %s: %s", who, code.name, reason)
    await context.abort(code, answer)
    raise AssertionError("abort returned")
