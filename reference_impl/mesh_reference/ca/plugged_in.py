"""An authority that the operator brings: the files of Secret ``cacerts``, in either layout, judged as a whole.

Pure. Whatever is wrong is told with the file and the reason, before anything
is signed with it. It deliberately does not fetch the Secret.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mesh_reference.ca.authority import Authority, Policy, SignerError, SigningKey, issued, read_key
from mesh_reference.ca.csr import CURVES, MIN_RSA_BITS

REVOKED = "ca-crl.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names of the files (IST-PLUG)."""

    certificate: str
    key: str
    chain: str
    """Empty where the certificate's own file holds the way up."""
    roots: str

    @property
    def needed(self) -> tuple[str, ...]:
        return tuple(name for name in (self.certificate, self.key, self.chain, self.roots) if name)


ISTIO = Layout(certificate="ca-cert.pem", key="ca-key.pem", chain="cert-chain.pem", roots="root-cert.pem")
KUBERNETES = Layout(certificate="tls.crt", key="tls.key", chain="", roots="ca.crt")
"""What certificate operators write into a Secret of type kubernetes.io/tls."""


def read(
    files: Mapping[str, bytes],
    *,
    trust_domain: str,
    now: datetime,
    policy: Policy | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Authority:
    """Give the authority of ``files`` (name to content). Raises SignerError: which file, and why."""
    layout = _layout(files)
    if REVOKED in files:
        raise SignerError(f"{REVOKED}: revocation lists are not supported, so nobody would heed it: take it out")
    own = _certificates(files, layout.certificate)
    certificate = own[0]
    key = read_key(files[layout.key], layout.key)
    if certificate.public_key() != key.public_key():
        raise SignerError(f"{layout.key}: is not the key of {layout.certificate}: both must come from one issue")
    _strong(layout.key, key)
    roots = _certificates(files, layout.roots)
    way = _way(certificate, own[1:] if not layout.chain else _certificates(files, layout.chain), roots)
    where = layout.chain or layout.certificate
    _linked(where, [certificate, *way])
    anchor = _anchor(layout, where, [certificate, *way], roots)
    path = [certificate, *way] if anchor in {certificate, *way} else [certificate, *way, anchor]
    for index, one in enumerate(path):
        name = layout.certificate if index == 0 else layout.roots if one == anchor else where
        _fresh(name, one, now)
        _may_sign(name, one, below=index)
    for root in roots:
        if root.issuer == root.subject and not issued(root, root):
            raise SignerError(f"{layout.roots}: {_title(root)} did not sign itself, as it says: the file is damaged")
        _may_sign(layout.roots, root, below=0)
    return Authority(
        certificate=certificate,
        key=key,
        trust_domain=trust_domain,
        intermediates=[] if certificate == anchor else [one for one in (certificate, *way) if one != anchor],
        roots=roots,
        policy=policy,
        clock=clock,
    )


def _layout(files: Mapping[str, bytes]) -> Layout:
    keys = [layout for layout in (ISTIO, KUBERNETES) if layout.key in files]
    if len(keys) == 2:
        raise SignerError(f"{ISTIO.key} and {KUBERNETES.key}: two keys, and only one can sign: take one layout out")
    layout = keys[0] if keys else max((ISTIO, KUBERNETES), key=lambda one: len(files.keys() & set(one.needed)))
    if absent := [name for name in layout.needed if not files.get(name, b"").strip()]:
        have = ", ".join(sorted(files)) or "nothing"
        raise SignerError(
            f"{', '.join(absent)}: missing or empty; {', '.join(layout.needed)} are needed (there: {have})"
        )
    return layout


def _certificates(files: Mapping[str, bytes], name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(files[name])
    except ValueError as error:
        raise SignerError(f"{name}: is not a list of PEM certificates") from error


def _strong(name: str, key: SigningKey) -> None:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise SignerError(f"{name}: RSA key of {key.key_size} bits, at least {MIN_RSA_BITS} are needed")
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name not in CURVES:
        raise SignerError(f"{name}: EC key on {key.curve.name}: use one of {', '.join(CURVES)}")


def _way(
    certificate: x509.Certificate, listed: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Give what lies above the signing certificate, without the roots: both are often repeated in the chain."""
    return [one for one in listed if one != certificate and one not in roots]


def _linked(name: str, path: Sequence[x509.Certificate]) -> None:
    for number, (child, issuer) in enumerate(itertools.pairwise(path), 1):
        if not issued(child, issuer):
            raise SignerError(
                f"{name}: {_title(issuer)} did not issue {_title(child)} (link {number}): "
                "the chain goes upwards from the signing certificate, without a gap"
            )


def _anchor(
    layout: Layout, where: str, path: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]
) -> x509.Certificate:
    top = path[-1]
    for root in roots:
        if root == top or issued(top, root):
            return root
    raise SignerError(
        f"{layout.roots}: none of its {len(roots)} certificates issued {_title(top)}, the end of {where}: "
        "workloads would not accept what is signed"
    )


def _fresh(name: str, certificate: x509.Certificate, now: datetime) -> None:
    if certificate.not_valid_after_utc <= now:
        raise SignerError(
            f"{name}: {_title(certificate)} expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
        )
    if certificate.not_valid_before_utc > now:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
        raise SignerError(f"{name}: {_title(certificate)} is not valid before {begins}")


def _may_sign(name: str, certificate: x509.Certificate, *, below: int) -> None:
    """Check CA-TRUE, CA-KCS and CA-PATHLEN; ``below`` counts the authorities under this one."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        basic = x509.BasicConstraints(ca=False, path_length=None)
    if not basic.ca:
        raise SignerError(f"{name}: {_title(certificate)} has no basicConstraints CA:TRUE, so it may not sign")
    if basic.path_length is not None and basic.path_length < below:
        raise SignerError(
            f"{name}: {_title(certificate)} allows {basic.path_length} authorities below it, there are {below}"
        )
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not usage.key_cert_sign:
        raise SignerError(f"{name}: {_title(certificate)} has keyUsage without keyCertSign, so it may not sign")


def _title(certificate: x509.Certificate) -> str:
    return f"{certificate.subject.rfc4514_string() or 'a nameless certificate'} (serial {certificate.serial_number:x})"
