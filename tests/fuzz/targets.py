"""What the fuzzer calls: each parser that reads bytes of strangers, and the law that must hold for all of them.

A parser may refuse with its own error and with no other. What it takes must be
judged, shown and refused again without an exception.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime

from mesh_reference.ca.csr import CsrError, load_csr, strong_key
from pytest_mesh.identity.bundle_rules import check_bundle, check_bundle_map
from pytest_mesh.identity.bundles import BundleError, read_bundle, read_bundle_map
from pytest_mesh.identity.der import DerError
from pytest_mesh.identity.encoding import check_encoding, check_structure
from pytest_mesh.identity.findings import violations
from pytest_mesh.identity.picture import lines, picture, shown
from pytest_mesh.identity.reading import UnreadableError, load, split
from pytest_mesh.identity.spiffe import SpiffeId, SpiffeIdError, check_id, same
from pytest_mesh.identity.svid import admit, check_svid
from pytest_mesh.identity.x509_svid import check_leaf, check_signing

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRAMMAR = re.compile(r"spiffe://[a-z0-9._-]+(/(?!\.{1,2}(/|\Z))[a-zA-Z0-9._-]+)*", re.DOTALL)


def spiffe_id(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    findings = check_id(text)
    broken = bool(violations(findings))
    assert broken == (GRAMMAR.fullmatch(text) is None)
    assert all(shown(one.message).isprintable() for one in findings)
    assert same(text, text)
    try:
        assert str(SpiffeId.parse(text)) == text
    except SpiffeIdError:
        assert broken


def csr(data: bytes) -> None:
    """Take PEM as it is, and wrap what is DER, so that mutations reach the parser behind it."""
    if not data.startswith(b"-----"):
        data = (
            b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.encodebytes(data) + b"-----END CERTIFICATE REQUEST-----\n"
        )
    try:
        _, key = load_csr(data.decode("utf-8", "replace"))
        strong_key(key, ed25519_allowed=True)
    except CsrError:
        return


def x509(data: bytes) -> None:
    for judge in (check_encoding, check_structure):
        try:
            judge(data)
        except DerError:
            continue
    try:
        ders = split(data)
        chain = [load(one) for one in ders]
    except UnreadableError:
        return
    for one in chain[:5]:
        for finding in [*check_leaf(one), *check_signing(one)]:
            assert finding.message
        assert all(line.isprintable() and line.isascii() for line in lines(picture(one, at=AT)))
    judged = check_svid(chain, chain[1:] or chain, "example.org", at=AT)
    assert judged.path
    if admit(chain, {"example.org": chain[1:]}, at=AT):
        assert judged.holds


def bundle(data: bytes) -> None:
    try:
        read = read_bundle(data)
    except BundleError:
        read = None
    findings = check_bundle(data, "example.org")
    if read is None:
        assert violations(findings)
    elif not read.authorities:
        assert any(one.rule in {"ID-TD-AUTH", "B-X5C-ONE", "B-JWKS", "B-KTY"} for one in findings)
    try:
        read_bundle_map(data)
    except BundleError:
        assert violations(check_bundle_map(data)) or violations(findings)
    check_bundle_map(data)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "spiffe_id": spiffe_id,
    "csr": csr,
    "x509": x509,
    "bundle": bundle,
}
