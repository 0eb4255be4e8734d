"""Who sent a call, by the client certificate of its connection: a certificate of this very trust domain.

Pure: certificates and the moment in, the caller out. Python's gRPC asks for a
client certificate on a port either from everybody or from nobody; a port that
takes tokens as well therefore never shows one here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mesh_reference.ca.authentication import AuthenticationError, Caller
from mesh_reference.ca.authority import Authority, issued
from mesh_reference.ca.identities import IdentityError, parse

LEAF = "x509_pem_cert"
CHAIN = "x509_pem_cert_chain"
"""Keys of a gRPC call's authentication context."""
LONGEST_PATH = 5


def caller_of(context: Mapping[str, Sequence[bytes]], authority: Authority, now: datetime) -> Caller | None:
    """Give the caller that the connection's certificate names; None without one. Raises AuthenticationError.

    A certificate that is there and wrong is a refusal, never a reason to look
    for another proof.
    """
    if not context.get(LEAF):
        return None
    try:
        leaf = x509.load_pem_x509_certificate(context[LEAF][0])
        others = [one for pem in context.get(CHAIN, ()) for one in x509.load_pem_x509_certificates(pem)]
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise AuthenticationError(f"the client certificate cannot be read: {error}") from error
    if len(uris) != 1:
        raise AuthenticationError(f"the client certificate has {len(uris)} URI SANs, one is needed")
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or _is_authority(leaf):
        raise AuthenticationError("the client certificate is not one of a client")
    try:
        identity = parse(uris[0], authority.trust_domain)
    except IdentityError as error:
        raise AuthenticationError(f"the client certificate's {error}") from error
    _check_path(leaf, [*others, *authority.intermediates], authority.roots, now)
    return Caller(namespace=identity.namespace, service_account=identity.service_account)


def _check_path(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: datetime
) -> None:
    """Follow the issuers up to a root, each one an authority and in its time."""
    current = leaf
    for _ in range(LONGEST_PATH):
        if not current.not_valid_before_utc <= now < current.not_valid_after_utc:
            raise AuthenticationError(f"certificate {current.serial_number:x} is not valid at this time")
        if current in roots:
            return
        above = next((one for one in (*roots, *others) if one != current and issued(current, one)), None)
        if above is None:
            raise AuthenticationError("the client certificate leads to no root of this mesh")
        if not _is_authority(above):
            raise AuthenticationError(f"certificate {above.serial_number:x} is no authority")
        current = above
    raise AuthenticationError("the client certificate's path is too long")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
