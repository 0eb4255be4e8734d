"""The signing authority: makes a root, and certificates for identities that somebody else has checked.

Pure: no I/O and no clock but the one it is given. It deliberately does not
authenticate anybody, and of a CSR it uses the public key alone: names,
extensions and wishes in it are ignored (IST-ID-FROM-CALLER).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mesh_reference.ca.csr import CsrError, LeafKey, load_csr, strong_key
from mesh_reference.ca.leaf_template import Leaf, LeafTemplate
from mesh_reference.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
KeyAlgorithm = Literal["ECDSA-P256", "ECDSA-P384", "RSA-2048", "RSA-4096"]

ROOT_LIFETIME = timedelta(days=3650)
COMMON_NAME_BYTES = 64
"""ub-common-name of RFC 5280, appendix A."""


class SignerError(MeshError):
    """The authority is at fault: its certificate has expired or does not fit its key (Internal)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long certificates live, and which keys they are given to."""

    default_ttl: timedelta = timedelta(hours=24)
    """For requests that name no lifetime (IST-TTL)."""
    max_ttl: timedelta = timedelta(days=90)
    """A longer wish is an error, never a silent cap (IST-TTL)."""
    skew: timedelta = timedelta(minutes=2)
    """How far NotBefore lies in the past; the lifetime counts from the present (IST-SKEW)."""
    ed25519: bool = False
    """Whether a workload's key may be Ed25519."""


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
    """A signing certificate, its key, the way up to the roots, and the policy by which it signs. Never changes."""

    def __init__(
        self,
        *,
        certificate: x509.Certificate,
        key: SigningKey,
        trust_domain: str,
        intermediates: Sequence[x509.Certificate] = (),
        roots: Sequence[x509.Certificate] = (),
        policy: Policy | None = None,
        clock: Callable[[], datetime] = _wall_clock,
    ) -> None:
        """Join a CA certificate and its key.

        ``intermediates`` are what lies on the way up, the signing certificate
        first when it is no root itself; ``roots`` are the trust bundle, by
        default the signing certificate. ``clock`` is read only by calls that
        name no ``now``. Raises SignerError when certificate and key do not
        belong together or the certificate may not sign.
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
        self.intermediates = tuple(intermediates)
        self.roots = tuple(roots) or (certificate,)
        self.root_pem = "".join(map(_pem, self.roots))
        """The trust bundle."""
        self.trust_domain = trust_domain
        self.policy = policy or Policy()
        self._key = key
        self._begins, self._ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        top = self.intermediates[-1] if self.intermediates else certificate
        self.anchor = next((root for root in self.roots if root == top or issued(top, root)), top)
        """The root that this authority's chain leads to."""
        self._clock = clock
        self._elements = [*map(_pem, self.intermediates), self.root_pem]
        self._hash = _signature_hash(key)
        self._key_id = _authority_key_identifier(certificate)

    @property
    def current(self) -> Authority:
        """Give the authority in force: this one. The seam behind which a successor may stand."""
        return self

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
        if algorithm.startswith("ECDSA-"):
            key = ec.generate_private_key(ec.SECP256R1() if algorithm == "ECDSA-P256" else ec.SECP384R1())
        else:
            key = rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("RSA-")))
        certificate = _self_signed(key, trust_domain, now=now, lifetime=lifetime, skew=policy.skew)
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
        key = read_key(key_pem.encode(), "ca-key.pem")
        return cls(certificate=certificate, key=key, trust_domain=trust_domain, policy=policy, clock=clock)

    def renewed(self, now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> Authority:
        """Give this self-signed root with a new life and the same key: what it signed stays valid (IST-ROOT-ROT)."""
        certificate = _self_signed(self._key, self.trust_domain, now=now, lifetime=lifetime, skew=self.policy.skew)
        return Authority(
            certificate=certificate,
            key=self._key,
            trust_domain=self.trust_domain,
            policy=self.policy,
            clock=self._clock,
        )

    def key_pem(self) -> str:
        """The root's private key, PKCS#8 PEM: for the root's own Secret and nothing else."""
        return _private_pem(self._key)

    # ------------------------------------------------------------------------ signing

    def sign(self, csr_pem: str, identity: Identity, *, ttl: timedelta, now: datetime) -> list[str]:
        """Give the chain for a CSR whose sender is known to be ``identity``, as :meth:`issue` and :meth:`chain`."""
        return self.chain(self.issue(csr_pem, identity, ttl=ttl, now=now))

    def chain(self, leaf: Leaf) -> list[str]:
        """Give the elements of an answer: leaf, the way up one by one, then all roots in one (IST-CHAIN). PEM each."""
        return [leaf.pem, *self._elements]

    def issue(self, csr_pem: str, identity: Identity, *, ttl: timedelta, now: datetime) -> Leaf:
        """Give the leaf for a CSR whose sender is known to be ``identity``.

        A ``ttl`` of zero or less means the default. Raises CsrError or SignerError.
        """
        csr, key = load_csr(csr_pem)
        if ttl > self.policy.max_ttl:
            raise CsrError(f"requested lifetime {ttl} is longer than the maximum {self.policy.max_ttl}: ask for less")
        if ttl <= timedelta():
            ttl = self.policy.default_ttl
        strong, uri = strong_key(key, ed25519_allowed=self.policy.ed25519), identity.uri
        asked_for_name = bool(csr.subject.rdns and csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        if asked_for_name and len(uri) <= COMMON_NAME_BYTES:
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uri)])
            names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
            return _issued(self._leaf(public_key=strong, subject=subject, names=names, ttl=ttl, now=now))
        begins, ends = self._validity(ttl, now)
        return self._template.fill(uri=uri, key=strong, serial=_serial(), begins=begins, ends=ends)

    def issue_server_certificate(
        self, dns_names: Sequence[str], *, ttl: timedelta = timedelta(days=365), now: datetime | None = None
    ) -> tuple[str, str]:
        """Make a key and a certificate for istiod's own ports: ``(chain PEM, key PEM)``.

        ``dns_names`` become the SANs; the chain is leaf, the way up, roots. ``now`` is the
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
        return "".join(self.chain(_issued(leaf))), _private_pem(key)

    def _leaf(
        self, *, public_key: LeafKey, subject: x509.Name, names: list[x509.GeneralName], ttl: timedelta, now: datetime
    ) -> x509.Certificate:
        begins, ends = self._validity(ttl, now)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(_serial())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(_LEAF_USAGE, critical=True)
            .add_extension(_BOTH_SIDES, critical=False)
            .add_extension(_NO_CA, critical=True)
            .add_extension(self._key_id, critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(self._key, self._hash)
        )

    def _validity(self, ttl: timedelta, now: datetime) -> tuple[datetime, datetime]:
        if self._ends <= now:
            raise SignerError(f"the CA certificate expired at {self._ends:%Y-%m-%dT%H:%M:%SZ}: renew the root")
        return now - self.policy.skew, min(now + ttl, self._ends)  # IST-CLAMP

    @cached_property
    def _template(self) -> LeafTemplate:
        sample = self._leaf(
            public_key=self._key.public_key(),
            subject=x509.Name([]),
            names=[x509.UniformResourceIdentifier("spiffe://sample")],
            ttl=self._ends - self._begins,
            now=self._begins,
        )
        return LeafTemplate(sample, self._key)


def _issued(leaf: x509.Certificate) -> Leaf:
    return Leaf(
        der=leaf.public_bytes(serialization.Encoding.DER),
        serial_number=leaf.serial_number,
        not_valid_after_utc=leaf.not_valid_after_utc,
    )


def _self_signed(
    key: SigningKey, trust_domain: str, *, now: datetime, lifetime: timedelta, skew: timedelta
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain[:COMMON_NAME_BYTES])])
    uri = x509.UniformResourceIdentifier(f"spiffe://{trust_domain.replace('@', '.')}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(_serial())
        # As far back as a leaf's: a leaf of the first second must not be older than its root.
        .not_valid_before(now - skew)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .sign(key, _signature_hash(key))
    )


def read_key(pem: bytes, where: str) -> SigningKey:
    """Read an unencrypted ECDSA or RSA private key. Raises SignerError that names ``where``."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignerError(f"{where} is not an unencrypted PEM private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise SignerError(f"{where} holds a {type(key).__name__}; an ECDSA or RSA key is needed")
    return key


def issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether ``issuer`` signed ``child``: names and signature."""
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signature_hash(key: SigningKey) -> hashes.SHA256 | hashes.SHA384:
    """Give the hash that is as strong as the key."""
    return hashes.SHA384() if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256 else hashes.SHA256()


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
