"""Which kind of key a workload's certificates are for, as its environment says, and a fresh one of that kind (IST-KEYS).

Pure but for the randomness of keys. It keeps no key and asks for no certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "ECC_SIGNATURE_ALGORITHM"
CURVE = "ECC_CURVE"
RSA_BITS = "WORKLOAD_RSA_KEY_SIZE"
CURVES: dict[str, type[ec.EllipticCurve]] = {"P256": ec.SECP256R1, "P384": ec.SECP384R1}
SMALLEST, LARGEST = 2048, 8192
"""Bits of an RSA key that the certificate service signs."""

WorkloadKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyKindError(MeshError):
    """A kind of key that is not made here; names the variable and what can be said instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyKind:
    """ECDSA on ``curve``, or RSA of ``rsa_bits`` where that is not 0."""

    curve: str = "P256"
    rsa_bits: int = 0

    def fresh(self) -> WorkloadKey:
        """Make a key."""
        if self.rsa_bits:
            return rsa.generate_private_key(public_exponent=65537, key_size=self.rsa_bits)
        return ec.generate_private_key(CURVES[self.curve]())


def read(variables: Mapping[str, str]) -> KeyKind:
    """Read the kind of key; ECDSA on P-256 where nothing is said. Raises KeyKindError.

    As in Istio's agent ``ECC_SIGNATURE_ALGORITHM`` goes before ``WORKLOAD_RSA_KEY_SIZE``; RSA of 2048 bits, which is
    Istio's own default, wants to be asked for here.
    """
    algorithm, curve, bits = (variables.get(name, "").strip() for name in (ALGORITHM, CURVE, RSA_BITS))
    if algorithm not in {"", "ECDSA"}:
        raise KeyKindError(
            f"environment variable {ALGORITHM}: {algorithm!r} is not supported: use ECDSA, or leave it out"
        )
    if curve and curve not in CURVES:
        raise KeyKindError(f"environment variable {CURVE}: {curve!r} is not supported: use {' or '.join(CURVES)}")
    if bits and not (bits.isascii() and bits.isdecimal() and SMALLEST <= int(bits) <= LARGEST):
        raise KeyKindError(f"environment variable {RSA_BITS}: {bits!r} is not supported: use {SMALLEST} to {LARGEST}")
    if bits and not algorithm:
        if curve:
            raise KeyKindError(f"environment variables {CURVE} and {RSA_BITS} say two kinds of key: leave one out")
        return KeyKind(rsa_bits=int(bits))
    return KeyKind(curve=curve or "P256")
