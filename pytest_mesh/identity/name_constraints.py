"""Name constraints, RFC 5280 section 4.2.1.10: URI, DNS, email, IP and directory names. Pure.

What it cannot evaluate it refuses: a constraint on a kind of name that it does
not know, on a certificate that has such a name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import NameOID

from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.distinguished_names import within
from pytest_mesh.identity.x509_svid import extension

MAX_COMPARISONS = 100_000
"""Names times subtrees; the sender of a chain chooses both."""


def outside(certificate: x509.Certificate, constraints: x509.NameConstraints) -> Iterator[tuple[str, str]]:
    """Give (name, why) for each name of the certificate that the constraints do not let through."""
    listed = list(_names(certificate))
    trees = [*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())]
    if len(listed) * len(trees) > MAX_COMPARISONS:
        yield f"{len(listed)} names, {len(trees)} subtrees", f"are more than {MAX_COMPARISONS} comparisons"
        return
    for name in listed:
        kind = type(name)
        shown = repr(name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else name.value)
        permitted = [tree for tree in constraints.permitted_subtrees or () if type(tree) is kind]
        excluded = [tree for tree in constraints.excluded_subtrees or () if type(tree) is kind]
        if not permitted and not excluded:
            continue
        try:
            if permitted and not any(_matches(name, tree) for tree in permitted):
                yield shown, "lies outside the permitted subtrees"
            elif any(_matches(name, tree) for tree in excluded):
                yield shown, "lies in an excluded subtree"
        except ValueError as error:
            yield shown, f"cannot be held against the constraints: {error}"


def _names(certificate: x509.Certificate) -> Iterator[x509.GeneralName]:
    san = extension(certificate, x509.SubjectAlternativeName)
    listed = list(san.value) if san else []
    yield from listed
    if list(names.subject(certificate)):
        yield x509.DirectoryName(names.subject(certificate))
    if not any(isinstance(name, x509.RFC822Name) for name in listed):
        for attribute in names.subject(certificate).get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
            yield x509.RFC822Name(str(attribute.value))


def _matches(name: x509.GeneralName, tree: x509.GeneralName) -> bool:
    """Say whether the name lies in the subtree; raises ValueError when that cannot be said."""
    if isinstance(name, x509.UniformResourceIdentifier) and isinstance(tree, x509.UniformResourceIdentifier):
        return _host_matches(_host(name.value), tree.value)
    if isinstance(name, x509.DNSName) and isinstance(tree, x509.DNSName):
        host, base = name.value.lower(), tree.value.lower()
        if base.startswith("."):
            return host.endswith(base) and host != base
        return not base or host == base or host.endswith(f".{base}")
    if isinstance(name, x509.RFC822Name) and isinstance(tree, x509.RFC822Name):
        return _mailbox_matches(name.value, tree.value)
    if isinstance(name, x509.IPAddress) and isinstance(tree, x509.IPAddress):
        return _address_matches(name, tree)
    if isinstance(name, x509.DirectoryName) and isinstance(tree, x509.DirectoryName):
        return within(name.value, tree.value)
    raise ValueError(f"names of kind {type(name).__name__} are not evaluated")


def _host(uri: str) -> str:
    """Give the host of a URI; RFC 5280: one without a host name is refused where URIs are constrained."""
    _, slashes, rest = uri.partition("://")
    host = rest.partition("/")[0].partition("?")[0].partition("#")[0].partition(":")[0]
    if not slashes or not host or "@" in host or "[" in host:
        raise ValueError("this URI has no host name")
    return host


def _host_matches(host: str, base: str) -> bool:
    if not base:
        raise ValueError("an empty URI constraint")
    host, base = host.lower(), base.lower()
    if base.startswith("."):
        return host.endswith(base) and host != base
    return host == base


def _mailbox_matches(mailbox: str, base: str) -> bool:
    local, at, host = mailbox.rpartition("@")
    if not at:
        raise ValueError("this mailbox has no host")
    if "@" in base:
        wanted, _, wanted_host = base.rpartition("@")
        return local == wanted and host.lower() == wanted_host.lower()
    return _host_matches(host, base)


def _address_matches(name: x509.IPAddress, tree: x509.IPAddress) -> bool:
    if not isinstance(tree.value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        raise ValueError("an IP constraint without a mask")  # noqa: TRY004 - the name is at fault, not the caller
    return str(name.value) == str(tree.value) or name.value in tree.value
