"""The certificate service: istio.v1.auth.IstioCertificateService/CreateCertificate over grpc.aio.

It deliberately holds no rule of its own: who calls is the Authenticator's
word, what is signed is the Authority's. Here the two meet, refusals get their
status codes (IST-CODES), and every decision leaves one audit line without
token or key.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from mesh_reference.ca import authentication, authority
from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse

if TYPE_CHECKING:
    from collections.abc import Callable

audit = logging.getLogger(f"{__name__}.audit")

SERVICE = "istio.v1.auth.IstioCertificateService"
METHOD = "CreateCertificate"
IMPERSONATION = "ImpersonatedIdentity"
IMPERSONATION_REFUSAL = "request impersonation authentication failure"


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class CertificateService:
    """Answers certificate requests."""

    def __init__(
        self,
        signer: authority.Authority,
        authenticator: authentication.Authenticator,
        *,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        self._signer = signer
        self._authenticator = authenticator
        self._clock = clock

    async def create_certificate(
        self, request: IstioCertificateRequest, context: grpc.aio.ServicerContext
    ) -> IstioCertificateResponse:
        """Sign the request for its caller's own identity, whatever names the CSR holds."""
        peer = context.peer()
        try:
            caller = await self._authenticator.authenticate(context.invocation_metadata())
        except authentication.AuthenticationError as error:
            await _refuse(context, grpc.StatusCode.UNAUTHENTICATED, authentication.REFUSAL, peer, str(error))
        identity = authority.Identity(
            trust_domain=self._signer.trust_domain,
            namespace=caller.namespace,
            service_account=caller.service_account,
        )
        who = f"{peer} as {identity.uri} (pod {caller.pod_name or 'unbound'})"
        wishes: dict[str, Any] = dict(request.metadata)
        if wishes.pop(IMPERSONATION, ""):
            # Nobody is a trusted node account: there is no node proxy in this mesh (IST-IMP, C3).
            await _refuse(
                context, grpc.StatusCode.UNAUTHENTICATED, IMPERSONATION_REFUSAL, who, "no trusted node accounts"
            )
        if wishes.get("CertSigner"):
            text = "CertSigner is not supported: the built-in authority is the only signer"
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, text, who, text)
        try:
            leaf = self._signer.issue(
                request.csr, identity, ttl=_duration(request.validity_duration), now=self._clock()
            )
        except authority.CsrError as error:
            await _refuse(context, grpc.StatusCode.INVALID_ARGUMENT, str(error), who, str(error))
        except authority.SignerError as error:
            await _refuse(context, grpc.StatusCode.INTERNAL, str(error), who, str(error))
        audit.info("signed for %s: serial %x, until %s", who, leaf.serial_number, leaf.not_valid_after_utc.isoformat())
        return IstioCertificateResponse(cert_chain=self._signer.chain(leaf))


def register(
    server: grpc.aio.Server,
    signer: authority.Authority,
    authenticator: authentication.Authenticator,
    settings: object,  # noqa: ARG001 - part of the seam; the service has no settings of its own
    *,
    clock: Callable[[], datetime] = _wall_clock,
) -> None:
    """Add the service to ``server``; call it before the server starts."""
    service = CertificateService(signer, authenticator, clock=clock)
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
