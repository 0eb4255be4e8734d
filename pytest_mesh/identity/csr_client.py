"""Asks a mesh for a certificate as a proxy does: ``istio.v1.auth.IstioCertificateService/CreateCertificate`` over TLS.

It sends whatever it is given, broken or not, and gives back what came; it judges
nothing and it makes no CSR. grpcio is imported on the first call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from pytest_mesh.identity.minting import Svid
from pytest_mesh.protobuf_wire import field, fields, number_field

METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
CALL_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A chain, or a refusal: a gRPC status by its name, and what was said."""

    chain: tuple[str, ...] = ()
    """PEM elements, leaf first."""
    code: str = "OK"
    message: str = ""

    @property
    def issued(self) -> bool:
        return self.code == "OK" and bool(self.chain)


def create_certificate(
    address: str,
    csr: bytes,
    *,
    root_pem: str,
    server_name: str,
    token: str = "",
    ttl_seconds: int = 0,
    metadata: Sequence[tuple[str, str]] = (),
    wishes: Mapping[str, str] | None = None,
    svid: Svid | None = None,
) -> Answer:
    """Send one request to ``host:port``.

    Args:
        address: where the service, or a tunnel to it, listens.
        csr: PEM, or whatever is to be sent in its place.
        root_pem: roots by which the service's own certificate is judged.
        server_name: name that its certificate must hold.
        token: bearer token; empty sends none.
        ttl_seconds: lifetime asked for; 0 leaves it to the service.
        metadata: more call metadata.
        wishes: the request's own ``metadata``, such as ``ImpersonatedIdentity``.
        svid: certificate and key to show in the handshake; None shows none.

    Raises ImportError without grpcio.
    """
    with connected(address, root_pem=root_pem, server_name=server_name, svid=svid) as ask:
        return ask(csr, token=token, ttl_seconds=ttl_seconds, metadata=metadata, wishes=wishes)


class Ask(Protocol):
    """Sends one request on a connection that is there; arguments as of ``create_certificate``."""

    def __call__(
        self,
        csr: bytes,
        *,
        token: str = "",
        ttl_seconds: int = 0,
        metadata: Sequence[tuple[str, str]] = (),
        wishes: Mapping[str, str] | None = None,
    ) -> Answer: ...


@contextmanager
def connected(address: str, *, root_pem: str, server_name: str, svid: Svid | None = None) -> Iterator[Ask]:
    """Give one connection for many requests; it outlives the service's own certificate."""
    import grpc

    shown = (svid.key.encode(), svid.chain.encode()) if svid else (None, None)
    credentials = grpc.ssl_channel_credentials(root_pem.encode(), *shown)
    options = (
        ("grpc.ssl_target_name_override", server_name),
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
    )

    def ask(
        csr: bytes,
        *,
        token: str = "",
        ttl_seconds: int = 0,
        metadata: Sequence[tuple[str, str]] = (),
        wishes: Mapping[str, str] | None = None,
    ) -> Answer:
        call_metadata = [*metadata, *([("authorization", f"Bearer {token}")] if token else [])]
        call = channel.unary_unary(METHOD, request_serializer=bytes, response_deserializer=bytes)
        try:
            answer = call(request_bytes(csr, ttl_seconds, wishes or {}), metadata=call_metadata, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            return Answer(code=error.code().name, message=error.details() or "")
        return Answer(chain=tuple(chain_of(answer)))

    with grpc.secure_channel(address, credentials, options=options) as channel:
        yield ask


def request_bytes(csr: bytes, ttl_seconds: int, wishes: Mapping[str, str] | None = None) -> bytes:
    """Give the message IstioCertificateRequest: ``csr`` is field 1, ``validity_duration`` (seconds) 3, ``metadata`` 4."""
    out = field(1, csr)
    if ttl_seconds:
        out += number_field(3, ttl_seconds)
    if wishes:
        # google.protobuf.Struct: a map of field 1, whose values hold their text in field 3.
        entries = (field(1, name) + field(2, field(3, value)) for name, value in wishes.items())
        out += field(4, b"".join(field(1, entry) for entry in entries))
    return out


def chain_of(message: bytes) -> list[str]:
    """Read ``cert_chain``, field 1 of IstioCertificateResponse; raises ValueError on anything else."""
    found = []
    for number, value in fields(message):
        if number != 1 or not isinstance(value, bytes):
            raise ValueError(f"field {number} where cert_chain was expected")
        found.append(value.decode())
    return found
