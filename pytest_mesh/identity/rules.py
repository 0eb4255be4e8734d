"""The rules of workload identity by id: level, what is judged, what it asks, and where it is written. Pure data.

From the SPIFFE standards and RFC 5280. A level says how the specification puts
it; ``may`` is a liberty of issuers that a validator must grant. No rule is
judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_mesh.identity.findings import Finding, Level

Subject = Literal[
    "id", "comparison", "certificate", "chain", "validator", "bundle", "map", "consumer", "history", "endpoint", "workload API"
]  # fmt: skip

_STANDARDS = "https://github.com/spiffe/spiffe/blob/main/standards/"
_DOCUMENTS = {
    "ID": ("SPIFFE-ID.md", _STANDARDS + "SPIFFE-ID.md"),
    "X": ("X509-SVID.md", _STANDARDS + "X509-SVID.md"),
    "TB": ("SPIFFE_Trust_Domain_and_Bundle.md", _STANDARDS + "SPIFFE_Trust_Domain_and_Bundle.md"),
    "FED": ("SPIFFE_Federation.md", _STANDARDS + "SPIFFE_Federation.md"),
    "WL": ("SPIFFE_Workload_API.md", _STANDARDS + "SPIFFE_Workload_API.md"),
    "WE": ("SPIFFE_Workload_Endpoint.md", _STANDARDS + "SPIFFE_Workload_Endpoint.md"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; ``section`` is that of ``document``."""

    id: str
    level: Level
    """Of its finding: ``should`` also where the specification uses no word of RFC 2119."""
    liberty: bool = False
    """An issuer MAY do it, so a validator must not refuse it."""
    subject: Subject
    text: str
    document: str
    section: str

    @property
    def where(self) -> str:
        """Name the document and the section."""
        return (
            f"{_DOCUMENTS[self.document][0] if self.document in _DOCUMENTS else self.document} section {self.section}"
        )

    @property
    def url(self) -> str:
        """Give the document's address, an RFC's with the section."""
        if self.document in _DOCUMENTS:
            return _DOCUMENTS[self.document][1]
        return f"https://www.rfc-editor.org/rfc/{self.document.lower().replace(' ', '')}#section-{self.section}"


_TABLE: tuple[tuple[str, str, Subject, str, str], ...] = (
    # 1. SPIFFE IDs
    ("ID-SCHEME", "must", "id", "the scheme is spiffe", "ID 2"),
    ("ID-TD-NONEMPTY", "must", "id", "the trust domain is not empty", "ID 2.1"),
    ("ID-NO-QUERY", "must", "id", "no query, not even an empty one", "ID 2"),
    ("ID-NO-FRAGMENT", "must", "id", "no fragment, not even an empty one", "ID 2"),
    ("ID-TD-NO-USERINFO", "must", "id", "no user information before the trust domain", "ID 2.1"),
    ("ID-TD-NO-PORT", "must", "id", "no port after the trust domain", "ID 2.1"),
    ("ID-TD-LOWER", "must", "id", "the trust domain is in lower case", "ID 2.1"),
    ("ID-TD-CHARSET", "must", "id", "the trust domain holds only a-z 0-9 . - _", "ID 2.1"),
    ("ID-TD-NO-PCT", "must", "id", "no percent-encoding in the trust domain", "ID 2.1"),
    ("ID-TD-OPAQUE", "must", "id", "a trust domain is any name, also one that looks like IPv4; an IPv6 literal is none", "ID 2.1"),
    ("ID-PATH-NO-PCT", "must", "id", "no percent-encoding in the path", "ID 2.2"),
    ("ID-PATH-NO-EMPTY-SEG", "must", "id", "no empty path segment", "ID 2.2"),
    ("ID-PATH-NO-DOT-SEG", "must", "id", "no path segment . or ..", "ID 2.2"),
    ("ID-PATH-NO-TRAILING", "must", "id", "no slash at the end", "ID 2.2"),
    ("ID-PATH-CHARSET", "must", "id", "path segments hold only a-z A-Z 0-9 . - _", "ID 2.2"),
    ("ID-LEN-ACCEPT", "must", "validator", "an ID of 2048 bytes is accepted", "ID 2.3"),
    ("ID-LEN-EMIT", "should", "id", "an ID has at most 2048 bytes", "ID 2.3"),
    ("ID-TD-LEN", "should", "id", "a trust domain has at most 255 bytes", "ID 2.3"),
    ("ID-ASCII", "must", "id", "only ASCII", "ID 2.3"),
    ("ID-CASE-TD", "note", "comparison", "scheme and trust domain compare without case", "ID 2.4"),
    ("ID-CASE-PATH", "note", "comparison", "paths compare with case", "ID 2.4"),
    ("ID-TD-AUTH", "must", "bundle", "a trust domain has a signing authority", "ID 3.1"),
    ("ID-SIGNED", "must", "chain", "an authority of the ID's own trust domain signed it", "ID 3.2"),
    ("ID-AUTH-NAME", "should", "bundle", "an authority's own ID lies in its trust domain", "ID 3.1"),
    # 2. X509-SVIDs
    ("SVID-URI-ONE", "must", "certificate", "exactly one URI SAN", "X 2"),
    ("SVID-URI-MULTI-REJECT", "must", "validator", "more than one URI SAN is refused", "X 5.2"),
    ("SVID-OTHER-SAN-OK", "may", "validator", "SANs of other kinds stand beside the URI", "X 2"),
    ("SVID-LEAF-PATH", "must", "certificate", "a leaf's ID has a path", "X 3.1"),
    ("SVID-SCHEME-V", "must", "certificate", "the URI SAN's scheme is spiffe", "X 5.2"),
    ("SVID-SAN-CRIT", "must", "certificate", "the SAN is critical when the subject is empty", "X 3.1"),
    ("LEAF-CA-FALSE", "must", "certificate", "a leaf is no CA", "X 4.1"),
    ("LEAF-KU-PRESENT", "must", "certificate", "a leaf has keyUsage", "X 4.3"),
    ("LEAF-KU-CRIT", "must", "certificate", "a leaf's keyUsage is critical", "X 4.3"),
    ("LEAF-KU-DS", "must", "certificate", "a leaf has digitalSignature", "X 4.3"),
    ("LEAF-KU-KE-KA", "may", "validator", "a leaf has keyEncipherment or keyAgreement too", "X 4.3"),
    ("LEAF-NO-KCS", "must", "certificate", "a leaf has no keyCertSign", "X 4.3"),
    ("LEAF-NO-CRLSIGN", "must", "certificate", "a leaf has no cRLSign", "X 4.3"),
    ("LEAF-EKU-PRESENT", "should", "certificate", "a leaf has extendedKeyUsage", "X 4.4"),
    ("LEAF-EKU-BOTH", "must", "certificate", "extendedKeyUsage has serverAuth and clientAuth", "X 4.4"),
    ("LEAF-EKU-CRIT-OK", "may", "validator", "extendedKeyUsage is critical, or absent", "X 4.4"),
    ("CA-TRUE", "must", "certificate", "a signing certificate is a CA", "X 4.1"),
    ("CA-KCS", "must", "certificate", "a signing certificate has keyCertSign", "X 4.3"),
    ("CA-KU-CRIT", "must", "certificate", "a signing SVID's keyUsage is there and critical; without an ID only noted", "X 4.3"),
    ("CA-CRLSIGN-OK", "may", "validator", "a signing certificate has cRLSign too", "X 4.3"),
    ("CA-IS-SVID", "should", "certificate", "a signing certificate has a SPIFFE ID", "X 3.2"),
    ("CA-ID-NO-PATH", "must", "certificate", "a signing certificate's ID has no path", "X 3.2"),
    ("CA-ID-TD", "should", "chain", "a signing certificate's ID is of the leaf's trust domain", "X 3.2"),
    ("CA-NOT-AUTHN", "must", "validator", "a signing certificate in the leaf's place is refused", "X 3.2"),
    ("CA-PATHLEN", "must", "validator", "a pathLen is accepted, and honoured", "X 4.1"),
    ("CA-NC", "must", "validator", "URI name constraints are honoured, or the chain is refused", "X 4.2"),
    ("CA-EKU-NOTE", "note", "certificate", "extendedKeyUsage on a signing certificate: validators differ", "X 4.4"),
    ("PATH-5280", "must", "chain", "what RFC 5280 asks beyond the rules below: extensions that can be read, each once, one algorithm inside and outside", "X 5.1"),
    ("PATH-SIG", "must", "chain", "each signature verifies, with 112 bits of security", "RFC-5280 6.1.3"),
    ("PATH-ISSUER", "must", "chain", "issuers lead to a certificate of the bundle", "RFC-5280 6.1.3"),
    ("PATH-TIME", "must", "chain", "leaf, intermediates and root are in their time", "RFC-5280 6.1.3"),
    ("PATH-BC", "must", "chain", "each issuer is a CA", "RFC-5280 6.1.4"),
    ("PATH-KU", "must", "chain", "each issuer with keyUsage has keyCertSign", "RFC-5280 6.1.4"),
    ("PATH-CRIT-UNKNOWN", "must", "chain", "no unknown critical extension", "RFC-5280 6.1.4"),
    ("PATH-LEN", "must", "chain", "no more CAs below an issuer than its pathLen", "RFC-5280 6.1.4"),
    ("PATH-NC", "must", "chain", "names lie within the issuers' name constraints", "RFC-5280 6.1.4"),
    ("CERT-V3", "must", "certificate", "version 3", "RFC-5280 4.1.2.1"),
    ("CERT-SERIAL", "must", "certificate", "a positive serial of at most 20 octets, unique for its issuer", "RFC-5280 4.1.2.2"),
    ("CERT-AKI", "must", "certificate", "authorityKeyIdentifier, equal to the issuer's subjectKeyIdentifier", "RFC-5280 4.2.1.1"),
    ("CERT-SKI", "must", "certificate", "a signing certificate has subjectKeyIdentifier", "RFC-5280 4.2.1.2"),
    ("CERT-TIME-ENC", "must", "certificate", "UTCTime to 2049, GeneralizedTime after it, seconds, Z", "RFC-5280 4.1.2.5"),
    ("TD-BUNDLE-BIND", "must", "validator", "an SVID is held against the bundle of its own trust domain alone", "TB 3"),
    # 3. Bundles
    ("B-JWKS", "must", "bundle", "a JWK set with keys; each entry holds its key", "TB 4"),
    ("B-EXTRA-PARAM", "must", "consumer", "unknown parameters are neither needed nor in the way", "TB 4.1"),
    ("B-SEQ", "must", "bundle", "spiffe_sequence is there (SHOULD), an integer, and grows with each change", "TB 4.1.1"),
    ("B-REFRESH", "must", "bundle", "spiffe_refresh_hint is there (SHOULD), in whole seconds", "TB 4.1.2"),
    ("B-UNKNOWN-KEY", "must", "consumer", "entries of unknown kty or use, or without use, are passed over, the rest is used", "TB 4.1.3"),
    ("B-EMPTY", "must", "validator", "an empty key set lets no SVID of its trust domain in", "TB 4.1.3"),
    ("B-USE", "must", "bundle", "each entry has use", "TB 4.2.2"),
    ("B-KTY", "must", "bundle", "each entry has kty", "TB 4.2.1"),
    ("B-X509-USE", "must", "bundle", "an entry for X509-SVIDs has use x509-svid", "X 6.1"),
    ("B-X509-NO-KID", "must", "bundle", "an entry for X509-SVIDs has no kid", "X 6.1"),
    ("B-X5C-ONE", "must", "bundle", "x5c holds exactly one CA certificate, self-signed (SHOULD)", "X 6.1"),
    ("B-X5C-MISSING", "must", "consumer", "an entry without x5c is passed over", "X 6.2"),
    ("B-X5C-MANY", "must", "consumer", "of several in x5c the first is used, the others are passed over", "X 6.2"),
    ("BM-MAP", "must", "map", "trust_domains is there", "TB 5.1.1"),
    ("BM-DUP", "must", "map", "no trust domain twice", "TB 6.3"),
    ("BM-REFRESH", "should", "map", "the bundles of a map have no refresh hint of their own", "TB 5.1.1"),
    ("FED-NEW-KEY-FIRST", "must", "history", "a new key is published before it signs (SHOULD: three refresh hints before)", "FED 4.1"),
    ("FED-OLD-KEY-LAST", "should", "history", "an old key stays until no live SVID leads to it", "FED 4.1"),
    ("FED-NO-CLIENT-AUTH", "must", "endpoint", "a bundle endpoint asks for no client certificate", "FED 5.2.1.3"),
    ("FED-LATEST", "must", "endpoint", "a bundle endpoint serves the latest bundle", "FED 5.2.1.3"),
    ("FED-UTF8", "must", "endpoint", "a bundle is UTF-8 (SHOULD: application/json)", "FED 5.2.1.3"),
    # 4. Workload API
    ("WL-HEADER", "must", "workload API", "without workload.spiffe.io: true the answer is InvalidArgument", "WE 3"),
    ("WL-FULL", "must", "workload API", "each message has every SVID and bundle", "WL 4.3"),
    ("WL-FIRST", "must", "workload API", "the first message comes at once", "WL 4.3"),
    ("WL-LEAF-FIRST", "must", "workload API", "the leaf comes first", "WL 5.1"),
    ("WL-KEY", "must", "workload API", "the key is PKCS#8 without encryption", "WL 5.1"),
    ("WL-DENY", "should", "workload API", "a caller without identity gets PermissionDenied", "WL 5.2.1"),
)  # fmt: skip


def _rule(row: tuple[str, str, Subject, str, str]) -> Rule:
    identity, level, subject, text, reference = row
    document, section = reference.split()
    return Rule(
        id=identity,
        level="must" if level == "may" else level,  # type: ignore[arg-type]  # the table's words are Level's
        liberty=level == "may",
        subject=subject,
        text=text,
        document=document.replace("-", " "),
        section=section,
    )


RULES: dict[str, Rule] = {row[0]: _rule(row) for row in _TABLE}
"""Every rule by its id, in the order of the standards."""


def found(rule: str, message: str, *, field: str = "", seen: object = "", level: Level | None = None) -> Finding:
    """Make a finding of a rule at the rule's level, or at ``level`` where the rule has a weaker half."""
    return Finding(rule=rule, level=level or RULES[rule].level, message=message, field=field, seen=str(seen))
