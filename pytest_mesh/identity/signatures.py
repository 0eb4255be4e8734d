"""Whether a key signed a certificate, and whether that signature is worth anything. Pure.

``cryptography``'s own check compares names too, byte by byte; here names are
compared by ``paths``.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""The time to check a signature grows with the square of the key's length, and the sender chooses it."""
MIN_CURVE_BITS = 224
MIN_DIGEST_BITS = 224


def weakness(child: x509.Certificate, issuer: x509.Certificate) -> str:
    """Say why the issuer's signature on ``child`` proves nothing; empty when it does."""
    try:
        key = issuer.public_key()
        digest = child.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"the issuer's key or the algorithm is not known: {error}"
    if isinstance(key, rsa.RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return f"the issuer's RSA key has {key.key_size} bits, not {MIN_RSA_BITS} to {MAX_RSA_BITS}"
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < MIN_CURVE_BITS:
        return f"the issuer's key is on {key.curve.name}, of less than {MIN_CURVE_BITS} bits"
    if digest is not None and (digest.digest_size * 8 < MIN_DIGEST_BITS):
        return f"it is made with {digest.name}, for which certificates can be forged"
    return "" if _verifies(child, key) else "it does not verify"


def _verifies(child: x509.Certificate, key: object) -> bool:
    try:
        algorithm = child.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey) and isinstance(algorithm, padding.PKCS1v15 | padding.PSS):
            digest = child.signature_hash_algorithm
            assert isinstance(digest, hashes.HashAlgorithm)  # noqa: S101 - RSA signs digests
            key.verify(child.signature, child.tbs_certificate_bytes, algorithm, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(algorithm, ec.ECDSA):
            key.verify(child.signature, child.tbs_certificate_bytes, algorithm)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and algorithm is None:
            key.verify(child.signature, child.tbs_certificate_bytes)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
