"""docs/identity-rules.md: every rule of the catalogue, with a vector that keeps it and one that breaks it alone.

A vector is made when the test runs, by minting. The page is made from the same
table; ``--update-goldens`` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_mesh.identity import conduct, forging, publication
from pytest_mesh.identity.bundle_rules import check_bundle, check_bundle_map, check_succession
from pytest_mesh.identity.bundles import BundleError, read_bundle, read_bundle_map
from pytest_mesh.identity.encoding import check_encoding
from pytest_mesh.identity.findings import Finding, violations
from pytest_mesh.identity.forging import Draft, constraints, extension, moment, uri_names, usage
from pytest_mesh.identity.paths import check_chain
from pytest_mesh.identity.presentations import UNKNOWN_OID, Presentation, World, presentations
from pytest_mesh.identity.publication import EndpointSeen, Issued, Published, WorkloadApiSeen, WorkloadSvid
from pytest_mesh.identity.rules import RULES
from pytest_mesh.identity.spiffe import check_id, same
from pytest_mesh.identity.svid import admit, check_svid, domain_of
from pytest_mesh.identity.x509_svid import check_leaf, check_serials, check_signing, uri_sans

PAGE = Path(__file__).parents[2] / "docs" / "identity-rules.md"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TD = "example.org"
ID = f"spiffe://{TD}/ns/shop/sa/web"
WORLD = World.make(TD, now=NOW)
KEY, LOW, MIDDLE = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
BOTH = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]

SHOWN = tuple(presentations(WORLD))

LEAF = forging.leaf(ID, WORLD.root, KEY, now=NOW)
ROOT = forging.signer("root", WORLD.root_key, now=NOW, uri=f"spiffe://{TD}")
INTERMEDIATE = forging.signer("middle", MIDDLE, now=NOW, issuer=WORLD.root, uri=f"spiffe://{TD}")

Vector = tuple[str, Callable[[], list[Finding]]]
"""What it is, and how it is judged."""


def identity(text: str) -> Vector:
    shown = text if len(text) < 60 else f"{text[:24]}… ({len(text)} bytes)"
    return f"`{shown}`" if text else "the empty text", lambda: check_id(text)


def leaf(what: str, draft: Draft = LEAF) -> Vector:
    return what, lambda: check_leaf(draft.sign(WORLD.root_key))


def signing(what: str, draft: Draft = ROOT) -> Vector:
    return what, lambda: check_signing(draft.sign(WORLD.root_key))


def chain(what: str, *certificates: x509.Certificate, anchor: x509.Certificate | None = None) -> Vector:
    return what, lambda: check_chain(certificates, [anchor or WORLD.root], at=NOW)


def svid(what: str, *certificates: x509.Certificate, domain: str = TD) -> Vector:
    return what, lambda: check_svid(certificates, [WORLD.root], domain, at=NOW).findings


def issued(draft: Draft = LEAF, *above: x509.Certificate, by: ec.EllipticCurvePrivateKey = WORLD.root_key) -> tuple:
    return (draft.sign(by), *above)


def below(issuer: Draft = INTERMEDIATE, by: ec.EllipticCurvePrivateKey = WORLD.root_key) -> tuple:
    """A right leaf under an intermediate."""
    signed = issuer.sign(by)
    return forging.leaf(ID, signed, KEY, now=NOW).sign(MIDDLE), signed


def two_below(upper: Draft) -> tuple:
    """A right leaf under an intermediate under ``upper``."""
    signed = upper.sign(WORLD.root_key)
    low = forging.signer("low", LOW, now=NOW, issuer=signed, uri=f"spiffe://{TD}").sign(MIDDLE)
    return forging.leaf(ID, low, KEY, now=NOW).sign(LOW), low, signed


def within(*subtrees: str) -> forging.Extension:
    value = x509.NameConstraints([x509.UniformResourceIdentifier(one) for one in subtrees], None)
    return extension(value, critical=True)


# Validators: the right one, and one that is wrong in one thing.


STRICT = {id(one): admit(one.chain, WORLD.bundles, at=NOW) for one in SHOWN}
BROKEN: dict[int, set[str]] = {}


def strict(one: Presentation) -> bool:
    return STRICT[id(one)]


def broken(one: Presentation) -> set[str]:
    """The MUSTs that a presentation breaks, by the bundle of its own trust domain; judged once."""
    if id(one) not in BROKEN:
        domain = domain_of(one.chain[0]) or TD
        judged = check_svid(one.chain, WORLD.bundles.get(domain, ()), domain, at=NOW)
        BROKEN[id(one)] = {finding.rule for finding in violations(judged.findings)}
    return BROKEN[id(one)]


def ignoring(*rules: str) -> Callable[[Presentation], bool]:
    return lambda one: broken(one) <= set(rules)


def refusing(predicate: Callable[[x509.Certificate], bool]) -> Callable[[Presentation], bool]:
    return lambda one: strict(one) and not any(map(predicate, one.chain))


def has(certificate: x509.Certificate, kind: type) -> x509.Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def is_ca(certificate: x509.Certificate) -> bool:
    return has(certificate, x509.BasicConstraints).value.ca


def pooled(one: Presentation, *, when_empty: bool) -> bool:
    own = WORLD.bundles.get(domain_of(one.chain[0]), ())
    everything = [root for roots in WORLD.bundles.values() for root in roots]
    if bool(own) == when_empty:
        return strict(one)
    return check_svid(one.chain, everything, domain_of(one.chain[0]), at=NOW).holds


def takes_signers(one: Presentation) -> bool:
    if strict(one):
        return True
    uris = uri_sans(one.chain[0]) if one.rule == "CA-NOT-AUTHN" else []
    return [uri.count("/") for uri in uris] == [2] and not check_chain(one.chain, [WORLD.root], at=NOW)


def validator(what: str, admits: Callable[[Presentation], bool]) -> Vector:
    return what, lambda: conduct.check_validator(SHOWN, admits)


VALIDATOR = validator("`admit`, our own validator, on every presentation", strict)

# Bundles


def bundle(*entries: dict, **more: object) -> str:
    listed = list(entries) if entries else [conduct.entry(WORLD.root)]
    return json.dumps({"spiffe_sequence": 1, "spiffe_refresh_hint": 300, "keys": listed, **more})


def entry(without: str = "", **more: object) -> dict:
    return {key: value for key, value in {**conduct.entry(WORLD.root), **more}.items() if key != without}


def published(what: str, text: str) -> Vector:
    return what, lambda: check_bundle(text, TD)


def mapped(what: str, text: str) -> Vector:
    return what, lambda: check_bundle_map(text)


def consume(document: str, domain: str) -> conduct.Taken | None:
    try:
        if not domain:
            return taken(read_bundle(document))
        bundles, hint = read_bundle_map(document)
        return replace(taken(bundles[domain]), refresh_hint=hint)
    except BundleError:
        return None


def taken(read: object) -> conduct.Taken:
    ders = frozenset(one.public_bytes(serialization.Encoding.DER) for one in read.authorities)
    return conduct.Taken(authorities=ders, refresh_hint=read.refresh_hint)


def consumer(what: str, refuses: Callable[[dict], bool] | None = None) -> Vector:
    def own(document: str, domain: str) -> conduct.Taken | None:
        return None if refuses and refuses(json.loads(document)) else consume(document, domain)

    return what, lambda: conduct.check_consumer(own, WORLD.root, WORLD.foreign_root)


def own_hint(document: str, domain: str) -> conduct.Taken | None:
    return taken(read_bundle_map(document)[0][domain]) if domain else consume(document, domain)


CONSUMER = consumer("`read_bundle` and `read_bundle_map` on every document")
MAP_ENTRY = {"spiffe_sequence": 1, "keys": [conduct.entry(WORLD.root)]}
MAP = json.dumps({"trust_domains": {TD: MAP_ENTRY}})
FOREIGN = forging.signer("root", WORLD.root_key, now=NOW, uri="spiffe://other.example").sign(WORLD.root_key)


# Publication


def rotation(what: str, switch: timedelta, removed: timedelta, hint: timedelta = timedelta(0)) -> Vector:
    """The old key signs at the beginning, for ten hours; the new one is published after one hour."""
    history = [
        Published(at=NOW, authorities=frozenset({"old"})),
        Published(at=NOW + HOUR, authorities=frozenset({"old", "new"})),
        Published(at=NOW + removed, authorities=frozenset({"new"})),
    ]
    svids = [
        Issued(at=NOW, authority="old", ends=NOW + 10 * HOUR),
        Issued(at=NOW + switch, authority="new", ends=NOW + 20 * HOUR),
    ]
    return what, lambda: publication.check_rotation(history, svids, refresh_hint=hint)


ENDPOINT = EndpointSeen(
    asked_client_certificate=False, content_type="application/json", body=bundle().encode(), latest=bundle().encode()
)


def endpoint(what: str, **changes: object) -> Vector:
    return what, lambda: publication.check_endpoint(replace(ENDPOINT, **changes))


def key_bytes(form: serialization.PrivateFormat, secret: bytes = b"") -> bytes:
    lock = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return KEY.private_bytes(serialization.Encoding.DER, form, lock)


PKCS8 = serialization.PrivateFormat.PKCS8
DERS = tuple(one.public_bytes(serialization.Encoding.DER) for one in below())
SVID = WorkloadSvid(spiffe_id=ID, certificates=DERS, key=key_bytes(PKCS8))
API = WorkloadApiSeen(
    code_without_header=publication.INVALID_ARGUMENT,
    code_without_identity=publication.PERMISSION_DENIED,
    entitled=frozenset({ID}),
    messages=((SVID,), (SVID,)),
    first_after=timedelta(milliseconds=20),
)


def api(what: str, **changes: object) -> Vector:
    return what, lambda: publication.check_workload_api(replace(API, **changes))


def with_svid(what: str, **changes: object) -> Vector:
    return api(what, messages=((replace(SVID, **changes),),))


RIGHT_ID, RIGHT_LEAF = identity(ID), leaf("a right leaf")
RIGHT_ROOT, RIGHT_CHAIN = signing("a right root"), chain("leaf and intermediate", *below())
RIGHT_BUNDLE, RIGHT_MAP = published("one authority", bundle()), mapped("one trust domain", MAP)
RIGHT_ROTATION = rotation("published, then used; removed at the end", 4 * HOUR, 11 * HOUR, HOUR)
RIGHT_ENDPOINT, RIGHT_API = endpoint("the latest bundle, as JSON"), api("two whole messages")

VECTORS: dict[str, tuple[Sequence[Vector], Sequence[Vector]]] = {
    "ID-SCHEME": ([RIGHT_ID], [identity(f"http://{TD}/a"), identity(f"SPIFFE://{TD}/a"), identity(""), identity(f" {ID}")]),
    "ID-TD-NONEMPTY": ([RIGHT_ID], [identity("spiffe:///a"), identity("spiffe://")]),
    "ID-NO-QUERY": ([RIGHT_ID], [identity(f"{ID}?a=b"), identity(f"{ID}?")]),
    "ID-NO-FRAGMENT": ([RIGHT_ID], [identity(f"{ID}#a"), identity(f"{ID}#")]),
    "ID-TD-NO-USERINFO": ([RIGHT_ID], [identity(f"spiffe://me@{TD}/a"), identity(f"spiffe://@{TD}/a")]),
    "ID-TD-NO-PORT": ([RIGHT_ID], [identity(f"spiffe://{TD}:80/a"), identity(f"spiffe://{TD}:/a")]),
    "ID-TD-LOWER": ([RIGHT_ID], [identity("spiffe://Example.org/a")]),
    "ID-TD-CHARSET": ([identity("spiffe://a-b_c.9/a")], [identity("spiffe://a+b/a"), identity("spiffe://td\n/foo"), identity("spiffe://a b/c")]),
    "ID-TD-NO-PCT": ([RIGHT_ID], [identity("spiffe://ex%61mple.org/a")]),
    "ID-TD-OPAQUE": ([identity("spiffe://1.2.3.4/a"), identity("spiffe://a_b/a"), identity("spiffe://-/a")], [identity("spiffe://[2001:db8::1]/a")]),
    "ID-PATH-NO-PCT": ([RIGHT_ID], [identity(f"spiffe://{TD}/a%2fb")]),
    "ID-PATH-NO-EMPTY-SEG": ([RIGHT_ID], [identity(f"spiffe://{TD}/a//b"), identity(f"spiffe://{TD}//b")]),
    "ID-PATH-NO-DOT-SEG": ([identity(f"spiffe://{TD}/.../..x/.x")], [identity(f"spiffe://{TD}/a/../b"), identity(f"spiffe://{TD}/.")]),
    "ID-PATH-NO-TRAILING": ([RIGHT_ID], [identity(f"{ID}/"), identity(f"spiffe://{TD}/")]),
    "ID-PATH-CHARSET": ([identity(f"spiffe://{TD}/aZ09.-_")], [identity(f"spiffe://{TD}/a:b"), identity("spiffe://td/foo\n"), identity("spiffe://td/a\0")]),
    "ID-LEN-ACCEPT": ([VALIDATOR], [validator("one that stops at 1024 bytes", refusing(lambda one: any(len(uri) > 1024 for uri in uri_sans(one))))]),
    "ID-LEN-EMIT": ([identity(f"spiffe://{TD}/".ljust(2048, "a"))], [identity(f"spiffe://{TD}/".ljust(2049, "a"))]),
    "ID-TD-LEN": ([identity(f"spiffe://{'a' * 255}/a")], [identity(f"spiffe://{'a' * 256}/a")]),
    "ID-ASCII": ([RIGHT_ID], [identity(f"spiffe://{TD}/é"), identity("spiffe://exämple.org/a")]),
    "ID-CASE-TD": ([("`same`", lambda: conduct.check_comparison(same))], [("byte by byte", lambda: conduct.check_comparison(str.__eq__))]),
    "ID-CASE-PATH": ([("`same`", lambda: conduct.check_comparison(same))], [("both in lower case", lambda: conduct.check_comparison(lambda one, other: one.lower() == other.lower()))]),
    "ID-TD-AUTH": ([RIGHT_BUNDLE], [published("no key at all", json.dumps({**json.loads(bundle()), "keys": []}))]),
    "ID-SIGNED": ([svid("the bundle of its own domain", *issued())], [svid("the bundle of another", *issued(LEAF.having(uri_names("spiffe://other.example/a"))))]),
    "ID-AUTH-NAME": ([RIGHT_BUNDLE], [published("an authority named other.example", bundle(conduct.entry(FOREIGN)))]),
    "SVID-URI-ONE": ([RIGHT_LEAF], [leaf("two IDs", LEAF.having(uri_names(ID, ID + "2"))), leaf("no SAN", LEAF.without(x509.SubjectAlternativeName)), leaf("a DNS name alone", LEAF.having(uri_names(dns=["a.example"])))]),
    "SVID-URI-MULTI-REJECT": ([VALIDATOR], [validator("one that any of the URIs suits", ignoring("SVID-URI-ONE"))]),
    "SVID-OTHER-SAN-OK": ([VALIDATOR], [validator("one that wants the URI alone", refusing(lambda one: b"web.example" in one.public_bytes(serialization.Encoding.DER)))]),
    "SVID-LEAF-PATH": ([RIGHT_LEAF, VALIDATOR], [leaf("a trust domain's own ID", LEAF.having(uri_names(f"spiffe://{TD}"))), validator("one that takes IDs without path", ignoring("SVID-LEAF-PATH"))]),
    "SVID-SCHEME-V": ([RIGHT_LEAF, VALIDATOR], [leaf("an https URI", LEAF.having(uri_names(f"https://{TD}/a"))), validator("one that takes any scheme", ignoring("SVID-SCHEME-V"))]),
    "SVID-SAN-CRIT": ([RIGHT_LEAF, leaf("a subject, SAN not critical", replace(LEAF, subject=forging.name("web")).having(uri_names(ID, critical=False)))], [leaf("no subject, SAN not critical", LEAF.having(uri_names(ID, critical=False)))]),
    "LEAF-CA-FALSE": ([RIGHT_LEAF, leaf("no basicConstraints", LEAF.without(x509.BasicConstraints)), VALIDATOR], [leaf("CA:TRUE", LEAF.having(constraints(ca=True))), validator("one that does not look", ignoring("LEAF-CA-FALSE"))]),
    "LEAF-KU-PRESENT": ([RIGHT_LEAF], [leaf("no keyUsage", LEAF.without(x509.KeyUsage))]),
    "LEAF-KU-CRIT": ([RIGHT_LEAF], [leaf("keyUsage not critical", LEAF.having(usage("digital_signature", critical=False)))]),
    "LEAF-KU-DS": ([RIGHT_LEAF], [leaf("keyEncipherment alone", LEAF.having(usage("key_encipherment")))]),
    "LEAF-KU-KE-KA": ([VALIDATOR], [validator("one that wants digitalSignature alone", refusing(lambda one: has(one, x509.KeyUsage).value.key_agreement))]),
    "LEAF-NO-KCS": ([RIGHT_LEAF, VALIDATOR], [leaf("keyCertSign", LEAF.having(usage("digital_signature", "key_cert_sign"))), validator("one that does not look", ignoring("LEAF-NO-KCS"))]),
    "LEAF-NO-CRLSIGN": ([RIGHT_LEAF, VALIDATOR], [leaf("cRLSign", LEAF.having(usage("digital_signature", "crl_sign"))), validator("one that does not look", ignoring("LEAF-NO-CRLSIGN"))]),
    "LEAF-EKU-PRESENT": ([RIGHT_LEAF], [leaf("no extendedKeyUsage", LEAF.without(x509.ExtendedKeyUsage))]),
    "LEAF-EKU-BOTH": ([RIGHT_LEAF], [leaf("serverAuth alone", LEAF.having(extension(x509.ExtendedKeyUsage(BOTH[:1])))), leaf("anyExtendedKeyUsage", LEAF.having(extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]))))]),
    "LEAF-EKU-CRIT-OK": ([VALIDATOR], [validator("one that wants it as it is usual", refusing(lambda one: not is_ca(one) and (has(one, x509.ExtendedKeyUsage) is None or has(one, x509.ExtendedKeyUsage).critical)))]),
    "CA-TRUE": ([RIGHT_ROOT], [signing("CA:FALSE", ROOT.having(constraints(ca=False))), signing("no basicConstraints", ROOT.without(x509.BasicConstraints))]),
    "CA-KCS": ([RIGHT_ROOT], [signing("cRLSign alone", ROOT.having(usage("crl_sign"))), signing("no keyUsage", ROOT.without(x509.KeyUsage))]),
    "CA-KU-CRIT": ([RIGHT_ROOT], [signing("keyUsage not critical", ROOT.having(usage("key_cert_sign", critical=False)))]),
    "CA-CRLSIGN-OK": ([VALIDATOR], [validator("one that wants keyCertSign alone", refusing(lambda one: is_ca(one) and has(one, x509.KeyUsage).value.crl_sign))]),
    "CA-IS-SVID": ([RIGHT_ROOT], [signing("no SAN", ROOT.without(x509.SubjectAlternativeName))]),
    "CA-ID-NO-PATH": ([RIGHT_ROOT], [signing("an ID with a path", ROOT.having(uri_names(ID, critical=False)))]),
    "CA-ID-TD": ([svid("an intermediate of the same domain", *below())], [svid("an intermediate of another", *below(INTERMEDIATE.having(uri_names("spiffe://other.example"))))]),
    "CA-NOT-AUTHN": ([VALIDATOR], [validator("one that takes whom a root has signed", takes_signers)]),
    "CA-PATHLEN": ([VALIDATOR], [validator("one that does not count", ignoring("PATH-LEN")), validator("one that refuses every pathLen", refusing(lambda one: is_ca(one) and has(one, x509.BasicConstraints).value.path_length is not None))]),
    "CA-NC": ([VALIDATOR], [validator("one that passes over name constraints", ignoring("PATH-NC"))]),
    "CA-EKU-NOTE": ([RIGHT_ROOT], [signing("extendedKeyUsage", ROOT.having(extension(x509.ExtendedKeyUsage(BOTH))))]),
    "PATH-5280": ([RIGHT_CHAIN, VALIDATOR], [chain("an extension twice", *issued(replace(LEAF, extensions=(*LEAF.extensions, LEAF.extensions[0])))), chain("an extension that cannot be read", *issued(LEAF.having(("2.5.29.19", True, b"\x30\x05")))), chain("another algorithm inside", *issued(replace(LEAF, announced_digest="sha384"))), validator("one that does not look", ignoring("PATH-5280"))]),
    "PATH-SIG": ([RIGHT_CHAIN, VALIDATOR], [chain("a bit turned", forging.tampered(issued()[0])), chain("a letter changed", forging.tampered(issued()[0], old=b"/sa/web", new=b"/sa/wem")), chain("SHA-1", *issued(replace(LEAF, digest="sha1"))), validator("one that does not look", ignoring("PATH-SIG"))]),
    "PATH-ISSUER": ([RIGHT_CHAIN, VALIDATOR], [chain("no intermediate", below()[0]), chain("an unknown root", *issued(), anchor=WORLD.foreign_root), ("no chain", lambda: check_chain([], [WORLD.root], at=NOW))]),
    "PATH-TIME": ([RIGHT_CHAIN, VALIDATOR], [chain("an expired leaf", *issued(replace(LEAF, ends=moment(NOW - HOUR)))), chain("a leaf of tomorrow", *issued(replace(LEAF, begins=moment(NOW + HOUR)))), chain("an expired intermediate", *below(replace(INTERMEDIATE, ends=moment(NOW - HOUR)))), chain("an expired root", *issued(), anchor=replace(ROOT, ends=moment(NOW - HOUR)).sign(WORLD.root_key)), validator("one without a clock", ignoring("PATH-TIME"))]),
    "PATH-BC": ([RIGHT_CHAIN, VALIDATOR], [chain("an issuer with CA:FALSE", *below(INTERMEDIATE.having(constraints(ca=False)))), chain("an issuer without basicConstraints", *below(INTERMEDIATE.without(x509.BasicConstraints)))]),
    "PATH-KU": ([RIGHT_CHAIN, VALIDATOR], [chain("an issuer without keyCertSign", *below(INTERMEDIATE.having(usage("digital_signature"))))]),
    "PATH-CRIT-UNKNOWN": ([chain("an unknown one that is not critical", *issued(LEAF.having((UNKNOWN_OID, False, b"\x05\x00")))), VALIDATOR], [chain("in the leaf", *issued(LEAF.having((UNKNOWN_OID, True, b"\x05\x00")))), chain("in an intermediate", *below(INTERMEDIATE.having((UNKNOWN_OID, True, b"\x05\x00")))), validator("one that does not look", ignoring("PATH-CRIT-UNKNOWN"))]),
    "PATH-LEN": ([chain("pathLen 1, one CA below", *two_below(INTERMEDIATE.having(constraints(ca=True, path_length=1))))], [chain("pathLen 0, one CA below", *two_below(INTERMEDIATE.having(constraints(ca=True, path_length=0))))]),
    "PATH-NC": ([chain("the ID's trust domain permitted", *below(INTERMEDIATE.having(within(TD))))], [chain("another one permitted", *below(INTERMEDIATE.having(within(".elsewhere.example")))), chain("this one excluded", *below(INTERMEDIATE.having(extension(x509.NameConstraints(None, [x509.UniformResourceIdentifier(TD)]), critical=True))))]),
    "CERT-V3": ([RIGHT_LEAF], [leaf("version 1 with extensions", replace(LEAF, version=None)), ("version 2", lambda: check_encoding(replace(LEAF, version=1).sign_der(WORLD.root_key)))]),
    "CERT-SERIAL": ([RIGHT_LEAF, leaf("20 octets", replace(LEAF, serial=b"\x7f" * 20))], [leaf("0", replace(LEAF, serial=b"\0")), leaf("negative", replace(LEAF, serial=b"\xff")), leaf("21 octets", replace(LEAF, serial=b"\0" + b"\xff" * 20)), ("two leaves with one serial", lambda: check_serials([issued()[0], issued(replace(LEAF, ends=moment(NOW + HOUR)))[0]]))]),
    "CERT-AKI": ([RIGHT_LEAF], [leaf("none", LEAF.without(x509.AuthorityKeyIdentifier)), chain("not the issuer's", *issued(LEAF.having(extension(x509.AuthorityKeyIdentifier(b"x", None, None)))))]),
    "CERT-SKI": ([RIGHT_ROOT], [signing("none", ROOT.without(x509.SubjectKeyIdentifier))]),
    "CERT-TIME-ENC": ([RIGHT_LEAF, leaf("GeneralizedTime from 2050 on", replace(LEAF, ends=moment(datetime(2051, 1, 1, tzinfo=UTC))))], [leaf("GeneralizedTime before 2050", replace(LEAF, ends=(24, b"20270101000000Z"))), *((what, lambda ends=ends: check_encoding(replace(LEAF, ends=ends).sign_der(WORLD.root_key))) for what, ends in (("a fraction", (24, b"20510101000000.5Z")), ("no seconds", (23, b"2701010000Z")), ("an offset", (23, b"270101000000+0100"))))]),
    "TD-BUNDLE-BIND": ([VALIDATOR], [validator("one that pools its bundles", lambda one: pooled(one, when_empty=False))]),
    "B-JWKS": ([RIGHT_BUNDLE], [published("no JSON", "{"), published("no object", "[]"), published("no keys", json.dumps({"spiffe_sequence": 1, "spiffe_refresh_hint": 1})), published("a key without y", bundle(entry("y"))), published("another key than the certificate's", bundle(entry(x="AA"))), published("nested too deep", '{"keys":' + "[" * 100_000)]),
    "B-EXTRA-PARAM": ([CONSUMER], [consumer("one that needs spiffe_sequence", lambda document: "spiffe_sequence" not in document)]),
    "B-SEQ": ([RIGHT_BUNDLE, ("grown with the content", lambda: check_succession([bundle(), bundle(spiffe_sequence=2, spiffe_refresh_hint=9)]))], [published("absent", json.dumps({"spiffe_refresh_hint": 1, "keys": [conduct.entry(WORLD.root)]})), published("a string", bundle(spiffe_sequence="1")), published("true", bundle(spiffe_sequence=True)), ("the same after a change", lambda: check_succession([bundle(), bundle(spiffe_refresh_hint=9)])), ("gone back", lambda: check_succession([bundle(spiffe_sequence=2), bundle()]))]),
    "B-REFRESH": ([RIGHT_BUNDLE], [published("absent", json.dumps({"spiffe_sequence": 1, "keys": [conduct.entry(WORLD.root)]})), published("half seconds", bundle(spiffe_refresh_hint=1.5))]),
    "B-UNKNOWN-KEY": ([CONSUMER], [consumer("one that refuses the whole bundle", lambda document: any(one.get("kty") == "PQC" or one.get("use") != "x509-svid" for one in document.get("keys", ())))]),
    "B-EMPTY": ([VALIDATOR], [validator("one that then asks the other bundles", lambda one: pooled(one, when_empty=True))]),
    "B-USE": ([RIGHT_BUNDLE], [published("absent", bundle(entry(), entry("use")))]),
    "B-KTY": ([RIGHT_BUNDLE], [published("absent", bundle(entry(), {"use": "x-more"}))]),
    "B-X509-USE": ([RIGHT_BUNDLE], [published("sig", bundle(entry(), entry(use="sig"))), published("in capitals", bundle(entry(), entry(use="X509-SVID")))]),
    "B-X509-NO-KID": ([RIGHT_BUNDLE], [published("a kid", bundle(entry(kid="1")))]),
    "B-X5C-ONE": ([RIGHT_BUNDLE], [published("two", bundle(entry(x5c=conduct.entry(WORLD.root, WORLD.foreign_root)["x5c"]))), published("no CA", bundle(conduct.entry(issued()[0]))), published("not self-signed", bundle(conduct.entry(below()[1]))), published("no base64", bundle(entry(), entry(x5c=["*"]))), published("none", bundle(entry(), entry("x5c")))]),
    "B-X5C-MISSING": ([CONSUMER], [consumer("one that refuses the whole bundle", lambda document: any(not one.get("x5c") for one in document.get("keys", ())))]),
    "B-X5C-MANY": ([CONSUMER], [consumer("one that refuses the whole bundle", lambda document: any(len(one.get("x5c", ())) > 1 for one in document.get("keys", ())))]),
    "BM-MAP": ([RIGHT_MAP, mapped("no trust domain", '{"trust_domains": {}}')], [mapped("absent", "{}"), mapped("a list", '{"trust_domains": []}')]),
    "BM-DUP": ([RIGHT_MAP], [mapped("a name twice", '{"trust_domains": {"a": {}, "a": {}}}')]),
    "BM-REFRESH": ([RIGHT_MAP, CONSUMER], [mapped("a hint in a bundle", json.dumps({"trust_domains": {TD: {**MAP_ENTRY, "spiffe_refresh_hint": 5}}})), ("a consumer that uses it", lambda: conduct.check_consumer(own_hint, WORLD.root, WORLD.foreign_root))]),
    "FED-NEW-KEY-FIRST": ([RIGHT_ROTATION], [rotation("used before it is published", HOUR / 2, 11 * HOUR), rotation("used an hour after, with a hint of an hour", 2 * HOUR, 11 * HOUR, HOUR)]),
    "FED-OLD-KEY-LAST": ([RIGHT_ROTATION], [rotation("removed after five hours", 4 * HOUR, 5 * HOUR)]),
    "FED-NO-CLIENT-AUTH": ([RIGHT_ENDPOINT], [endpoint("a client certificate is asked for", asked_client_certificate=True)]),
    "FED-LATEST": ([RIGHT_ENDPOINT], [endpoint("the one before", latest=bundle(spiffe_sequence=2).encode())]),
    "FED-UTF8": ([RIGHT_ENDPOINT], [endpoint("UTF-16", body=bundle().encode("utf-16")), endpoint("text/plain", content_type="text/plain")]),
    "WL-HEADER": ([RIGHT_API], [api("OK", code_without_header=0)]),
    "WL-FULL": ([RIGHT_API], [api("one of two", entitled=frozenset({ID, ID + "2"})), api("another's", entitled=frozenset(), messages=((SVID,),))]),
    "WL-FIRST": ([RIGHT_API], [api("after a minute", first_after=timedelta(minutes=1)), api("never", messages=())]),
    "WL-LEAF-FIRST": ([RIGHT_API], [with_svid("the intermediate first", certificates=DERS[::-1])]),
    "WL-KEY": ([RIGHT_API], [with_svid("SEC1", key=key_bytes(serialization.PrivateFormat.TraditionalOpenSSL)), with_svid("with a password", key=key_bytes(PKCS8, b"secret"))]),
    "WL-DENY": ([RIGHT_API], [api("Unavailable", code_without_identity=14)]),
}  # fmt: skip
CASES = [
    (rule, kind, *vector) for rule, kinds in VECTORS.items() for kind, listed in enumerate(kinds) for vector in listed
]


def test_every_rule_of_the_catalogue_has_vectors() -> None:
    assert list(VECTORS) == list(RULES)
    assert len(RULES) == 93
    assert all(passing and failing for passing, failing in VECTORS.values())


@pytest.mark.parametrize("judge", [pytest.param(one[3], id=f"{one[0]}-{one[2]}") for one in CASES if one[1] == 0])
def test_what_keeps_the_rule_has_no_finding(judge: Callable[[], list[Finding]]) -> None:
    assert list(judge()) == []


@pytest.mark.parametrize(
    ("rule", "judge"), [pytest.param(one[0], one[3], id=f"{one[0]}-{one[2]}") for one in CASES if one[1] == 1]
)
def test_what_breaks_the_rule_breaks_it_alone(rule: str, judge: Callable[[], list[Finding]]) -> None:
    findings = list(judge())
    assert {finding.rule for finding in findings} == {rule}, [str(one) for one in findings]
    assert len(findings) == 1
    weaker = {"should"} if "SHOULD" in RULES[rule].text else set()
    stronger = (
        {"must"} if rule == "BM-REFRESH" else set()
    )  # a consumer MUST NOT use it, a publisher SHOULD NOT write it
    assert findings[0].level in {RULES[rule].level} | weaker | stronger
    assert findings[0].message


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "\\n").replace("\0", "\\0")


def page() -> str:
    out = [
        "# Rules of identity and their vectors", "",
        "Made by `pytest tests/identity/test_every_rule_has_vectors.py --update-goldens` from the table in it and from",
        "`pytest_mesh/identity/rules.py`. A vector is minted when the test runs: what keeps a rule has no finding, what breaks it has",
        "that one and no other; `-k ID-SCHEME` runs the vectors of one rule. *May* is a liberty of issuers that a validator must grant; *note* is told and never judged.", "",
        "| id | level | judged | rule | keeps it | breaks it | written in |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, rule in RULES.items():
        keeps, breaks = ("; ".join(cell(what) for what, _ in listed) for listed in VECTORS[name])
        level = "may" if rule.liberty else rule.level
        written = f"[{rule.where}]({rule.url})"
        out.append(f"| {name} | {level} | {rule.subject} | {rule.text} | {keeps} | {breaks} | {written} |")
    return "\n".join(out) + "\n"


def test_the_page_is_up_to_date(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), "run with --update-goldens and read what it writes"
