"""Reads certificate signing requests: bounded, self-signed, and with a key that is strong enough.

Pure. It deliberately reads no name and no extension of a request (IST-ID-FROM-CALLER).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import SignatureAlgorithmOID

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

LeafKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey

MAX_CSR_BYTES = 64 * 1024
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""The time to check a signature grows with the square of the key's length, and the sender chooses it."""
_ECDSA = frozenset(
    {
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
    }
)
CURVES = ("secp256r1", "secp384r1", "secp521r1")


class CsrError(MeshError):
    """The request is at fault: not a CSR, forged, a weak key, or too long a life (InvalidArgument)."""


def load_csr(csr_pem: str) -> tuple[x509.CertificateSigningRequest, CertificatePublicKeyTypes]:
    """Parse one PEM CSR and check its own signature (IST-CSR-CHECKS); give it and its key. Raises CsrError."""
    data = csr_pem.encode()
    if len(data) > MAX_CSR_BYTES:
        raise CsrError(f"the CSR has {len(data)} bytes; at most {MAX_CSR_BYTES} are read")
    try:
        csr = x509.load_pem_x509_csr(data)
        key = csr.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size > MAX_RSA_BITS:
            raise CsrError(f"RSA key of {key.key_size} bits: at most {MAX_RSA_BITS} bits are checked")
        valid = _is_signed_by(csr, key)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise CsrError("the CSR is not a readable PEM PKCS#10 request") from error
    if not valid:
        raise CsrError("the CSR's signature does not fit its public key: sign it with the matching private key")
    return csr, key


def _is_signed_by(csr: x509.CertificateSigningRequest, key: CertificatePublicKeyTypes) -> bool:
    """Tell whether a request's signature is of its own key; ``key`` is that key, read already."""
    digest = csr.signature_hash_algorithm
    if not isinstance(key, ec.EllipticCurvePublicKey) or csr.signature_algorithm_oid not in _ECDSA or digest is None:
        return csr.is_signature_valid
    try:
        # The library's own check reads the key once more, which takes a third of its time.
        key.verify(csr.signature, csr.tbs_certrequest_bytes, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def strong_key(key: CertificatePublicKeyTypes, *, ed25519_allowed: bool = False) -> LeafKey:
    """Give a CSR's key; weaker than 112 bits of security is refused, which Istio leaves to its clients (M35).

    Ed25519 is strong, but Envoy and other peers need not speak it: it is taken
    only where the operator says so. Raises CsrError.
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise CsrError(f"EC key on {key.curve.name}: use one of {', '.join(CURVES)}")
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS or key.public_numbers().e < 65537:
            raise CsrError(
                f"RSA key of {key.key_size} bits, exponent {key.public_numbers().e}: "
                f"at least {MIN_RSA_BITS} bits and 65537 are needed"
            )
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        if not ed25519_allowed:
            raise CsrError("Ed25519 keys are turned off here, for not every proxy speaks them: use ECDSA or RSA")
        return key
    raise CsrError(f"a key of kind {type(key).__name__} is not supported: use ECDSA or RSA")
