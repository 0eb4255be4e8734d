"""The messages of the certificate service, as the mutating proxy reads and changes them. Pure."""

from __future__ import annotations

from cryptography import x509

from mesh_reference.ca.certificate_service_pb2 import IstioCertificateRequest, IstioCertificateResponse


def parsed(request: bytes) -> x509.CertificateSigningRequest:
    """Give the signing request that a message carries."""
    return x509.load_pem_x509_csr(IstioCertificateRequest.FromString(request).csr.encode())


def without_duration(request: bytes) -> bytes:
    """Give the message without the lifetime that is asked for."""
    message = IstioCertificateRequest.FromString(request)
    message.ClearField("validity_duration")
    return bytes(message.SerializeToString())


def answer_of(chain: bytes) -> bytes:
    """Give the answer that carries a chain (PEM, leaf first)."""
    marker = b"-----END CERTIFICATE-----\n"
    parts = [part.decode() + marker.decode() for part in chain.split(marker) if part.strip()]
    return bytes(IstioCertificateResponse(cert_chain=parts).SerializeToString())
