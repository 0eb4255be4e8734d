"""The signing authority: makes a root, and certificates for identities that somebody else has checked.

Pure: no I/O and no clock but the one it is given. It deliberately does not
authenticate anybody, and of a CSR it uses the public key alone: names,
extensions and wishes in it are ignored (IST-ID-FROM-CALLER).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
LeafKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
KeyAlgorithm = Literal["ECDSA-P256", "RSA-2048", "RSA-4096"]

MAX_CSR_BYTES = 64 * 1024
MIN_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
ROOT_LIFETIME = timedelta(days=3650)
COMMON_NAME_BYTES = 64
"""ub-common-name of RFC 5280, appendix A."""


class CsrError(MeshError):
    """The request is at fault: not a CSR, forged, a weak key, or too long a life (InvalidArgument)."""


class SignerError(MeshError):
    """The authority is at fault: its certificate has expired or does not fit its key (Internal)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long certificates live."""

    default_ttl: timedelta = timedelta(hours=24)
    """For requests that name no lifetime (IST-TTL)."""
    max_ttl: timedelta = timedelta(days=90)
    """A longer wish is an error, never a silent cap (IST-TTL)."""
    skew: timedelta = timedelta(minutes=2)
    """How far NotBefore lies in the past; the lifetime counts from the present (IST-SKEW)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A workload as SPIFFE names it: ``spiffe://<trust domain>/ns/<namespace>/sa/<service account>`` (IST-ID)."""

    trust_domain: str
    namespace: str
    service_account: str

    @property
    def uri(self) -> str:
        return f"spiffe://{self.trust_domain.replace('@', '.')}/ns/{self.namespace}/sa/{self.service_account}"


def _wall_clock() -> datetime:
    return datetime.now(UTC)


class Authority:
    """A root, its key, and the policy by which it signs."""

    def __init__(
        self,
        *,
        certificate: x509.Certificate,
        key: SigningKey,
        trust_domain: str,
        policy: Policy | None = None,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        """Join a CA certificate and its key.

        ``clock`` is read only by calls that name no ``now``. Raises SignerError
        when the two do not belong together or the certificate may not sign.
        """
        if certificate.public_key() != key.public_key():
            raise SignerError("the CA certificate's public key is not that of the CA key: both must come from one root")
        try:
            may_sign = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            may_sign = False
        if not may_sign:
            raise SignerError(
                "the CA certificate has no basicConstraints CA:TRUE, so nobody would accept what it signs"
            )
        self.certificate = certificate
        self.root_pem = _pem(certificate)
        """The trust bundle."""
        self.trust_domain = trust_domain
        self.policy = policy or Policy()
        self._key = key
        self._clock = clock
        self._key_id = _authority_key_identifier(certificate)

    # ------------------------------------------------------------ making and loading

    @classmethod
    def create(
        cls,
        trust_domain: str,
        *,
        now: datetime,
        algorithm: KeyAlgorithm = "ECDSA-P256",
        lifetime: timedelta = ROOT_LIFETIME,
        policy: Policy | None = None,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> Authority:
        """Make a self-signed root: O = trust domain, keyCertSign only, ten years (IST-ROOT-SELF).

        Beyond Istio's shape it carries the trust domain's own SPIFFE ID, without
        a path (CA-IS-SVID, CA-ID-NO-PATH).
        """
        policy = policy or Policy()
        key: SigningKey
        if algorithm == "ECDSA-P256":
            key = ec.generate_private_key(ec.SECP256R1())
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("RSA-")))
        name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:COMMON_NAME_BYTES])])
        uri = x509.UniformResourceIdentifier(f"spiffe://{trust_domain.replace('@', '.')}")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(_serial())
            # As far back as a leaf's: a leaf of the first second must not be older than its root.
            .not_valid_before(now - policy.skew)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(key_cert_sign=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate=certificate, key=key, trust_domain=trust_domain, policy=policy, clock=clock)

    @classmethod
    def load(
        cls,
        certificate_pem: str,
        key_pem: str,
        trust_domain: str,
        *,
        policy: Policy | None = None,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> Authority:
        """Read a root that was kept as PEM. Raises SignerError on anything unusable."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
        except ValueError as error:
            raise SignerError("ca-cert.pem is not a PEM certificate") from error
        try:
            key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SignerError("ca-key.pem is not an unencrypted PEM private key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise SignerError(f"ca-key.pem holds a {type(key).__name__}; an ECDSA or RSA key is needed")
        return cls(certificate=certificate, key=key, trust_domain=trust_domain, policy=policy, clock=clock)

    def key_pem(self) -> str:
        """The root's private key, PKCS#8 PEM: for the root's own Secret and nothing else."""
        return _private_pem(self._key)

    # ------------------------------------------------------------------------ signing

    def sign(self, csr_pem: str, identity: Identity, *, ttl: timedelta, now: datetime) -> list[str]:
        """Give the chain for a CSR whose sender is known to be ``identity``, as :meth:`issue` and :meth:`chain`."""
        return self.chain(self.issue(csr_pem, identity, ttl=ttl, now=now))

    def chain(self, leaf: x509.Certificate) -> list[str]:
        """Give the elements of an answer: leaf, then all roots (IST-CHAIN). PEM each."""
        return [_pem(leaf), self.root_pem]

    def issue(self, csr_pem: str, identity: Identity, *, ttl: timedelta, now: datetime) -> x509.Certificate:
        """Give the leaf for a CSR whose sender is known to be ``identity``.

        A ``ttl`` of zero or less means the default. Raises CsrError or SignerError.
        """
        csr = load_csr(csr_pem)
        if ttl > self.policy.max_ttl:
            raise CsrError(f"requested lifetime {ttl} is longer than the maximum {self.policy.max_ttl}: ask for less")
        if ttl <= timedelta():
            ttl = self.policy.default_ttl
        asked_for_name = bool(csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        name = identity.uri if asked_for_name and len(identity.uri) <= COMMON_NAME_BYTES else ""
        return self._leaf(
            public_key=_strong_key(csr),
            subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []),
            names=[x509.UniformResourceIdentifier(identity.uri)],
            ttl=ttl,
            now=now,
        )

    def issue_server_certificate(
        self, dns_names: Sequence[str], *, ttl: timedelta = timedelta(days=365), now: datetime | None = None
    ) -> tuple[str, str]:
        """Make a key and a certificate for istiod's own ports: ``(chain PEM, key PEM)``.

        ``dns_names`` become the SANs; the chain is leaf then root. ``now`` is the
        authority's clock by default. Raises SignerError.
        """
        if not dns_names:
            raise SignerError("a server certificate without a DNS name would match no client's check: name one")
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._leaf(
            public_key=key.public_key(),
            subject=x509.Name([]),
            names=[x509.DNSName(name) for name in dns_names],
            ttl=ttl,
            now=now or self._clock(),
        )
        return _pem(leaf) + self.root_pem, _private_pem(key)

    def _leaf(
        self, *, public_key: LeafKey, subject: x509.Name, names: list[x509.GeneralName], ttl: timedelta, now: datetime
    ) -> x509.Certificate:
        signer_ends = self.certificate.not_valid_after_utc
        if signer_ends <= now:
            raise SignerError(f"the CA certificate expired at {signer_ends:%Y-%m-%dT%H:%M:%SZ}: renew the root")
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(_serial())
            .not_valid_before(now - self.policy.skew)
            .not_valid_after(min(now + ttl, signer_ends))  # IST-CLAMP
            .add_extension(_LEAF_USAGE, critical=True)
            .add_extension(_BOTH_SIDES, critical=False)
            .add_extension(_NO_CA, critical=True)
            .add_extension(self._key_id, critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, hashes.SHA256())
        )


def load_csr(csr_pem: str) -> x509.CertificateSigningRequest:
    """Parse one PEM CSR and check its own signature (IST-CSR-CHECKS). Raises CsrError."""
    data = csr_pem.encode()
    if len(data) > MAX_CSR_BYTES:
        raise CsrError(f"the CSR has {len(data)} bytes; at most {MAX_CSR_BYTES} are read")
    try:
        csr = x509.load_pem_x509_csr(data)
        valid = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CsrError("the CSR is not a readable PEM PKCS#10 request") from error
    if not valid:
        raise CsrError("the CSR's signature does not fit its public key: sign it with the matching private key")
    return csr


def _strong_key(csr: x509.CertificateSigningRequest) -> LeafKey:
    """Give the CSR's key; weaker than 112 bits of security is refused, which Istio leaves to its clients (M35)."""
    try:
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CsrError("the CSR's public key is of no known kind") from error
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS or key.public_numbers().e < 65537:
            raise CsrError(
                f"RSA key of {key.key_size} bits, exponent {key.public_numbers().e}: "
                f"at least {MIN_RSA_BITS} bits and 65537 are needed"
            )
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in CURVES:
            raise CsrError(f"EC key on {key.curve.name}: use one of {', '.join(CURVES)}")
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise CsrError(f"{type(key).__name__} is not supported: use ECDSA, RSA or Ed25519")


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Point at the issuer's own SKI where it has one: a root made elsewhere may compute it in another way (CERT-AKI)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - the constructor compared it
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _serial() -> int:
    """128 random bits, positive and never zero (CERT-SERIAL)."""
    return secrets.randbelow((1 << 128) - 1) + 1


def _key_usage(
    *, digital_signature: bool = False, key_encipherment: bool = False, key_cert_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


_LEAF_USAGE = _key_usage(digital_signature=True, key_encipherment=True)
_BOTH_SIDES = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
_NO_CA = x509.BasicConstraints(ca=False, path_length=None)
"""The parts that every leaf shares (IST-SHAPE), made once."""


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private_pem(key: SigningKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
