"""What to show a validator, and what it must say: one chain for each rule that binds validators. Pure.

A chain that must be refused differs in one thing from the first presentation,
which must be let in. ``conduct`` judges the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from pytest_mesh.identity import forging
from pytest_mesh.identity.forging import Draft, constraints, extension, usage
from pytest_mesh.identity.spiffe import MAX_BYTES

UNKNOWN_OID = "1.3.6.1.4.1.99999.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A chain, leaf first, with the leaf's key; the rule that it is about; whether it must be let in."""

    rule: str
    what: str
    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    admit: bool

    def pem(self) -> str:
        """Give the chain, for a TLS client."""
        return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in self.chain)

    def key_pem(self) -> str:
        """Give the leaf's key, PKCS#8."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Two trust domains with a root each, and one whose bundle is empty: what the validator under test holds."""

    trust_domain: str
    root: x509.Certificate
    root_key: forging.Key = field(repr=False)
    foreign_domain: str
    foreign_root: x509.Certificate
    foreign_key: forging.Key = field(repr=False)
    revoked_domain: str
    now: datetime

    @classmethod
    def make(cls, trust_domain: str = "example.org", *, now: datetime) -> World:
        """Make the roots."""
        key = ec.generate_private_key(ec.SECP256R1())
        root = forging.signer("root", key, now=now, uri=f"spiffe://{trust_domain}").sign(key)
        return cls.around(root, key, trust_domain, now=now)

    @classmethod
    def around(cls, root: x509.Certificate, root_key: forging.Key, trust_domain: str, *, now: datetime) -> World:
        """Take a root that is there, and its key; make the foreign one."""
        foreign, key = f"other.{trust_domain}", ec.generate_private_key(ec.SECP256R1())
        return cls(
            trust_domain=trust_domain,
            root=root,
            root_key=root_key,
            foreign_domain=foreign,
            foreign_root=forging.signer("foreign root", key, now=now, uri=f"spiffe://{foreign}").sign(key),
            foreign_key=key,
            revoked_domain=f"revoked.{trust_domain}",
            now=now,
        )

    @property
    def bundles(self) -> Mapping[str, tuple[x509.Certificate, ...]]:
        """Give the bundles that the validator under test is to hold."""
        return {
            self.trust_domain: (self.root,),
            self.foreign_domain: (self.foreign_root,),
            self.revoked_domain: (),
        }


def presentations(world: World) -> Iterator[Presentation]:
    """Give every presentation, the right one first."""
    key = ec.generate_private_key(ec.SECP256R1())
    uri = f"spiffe://{world.trust_domain}/ns/shop/sa/web"
    right = forging.leaf(uri, world.root, key, now=world.now)

    def shown(rule: str, what: str, draft: Draft, *, admit: bool = False) -> Presentation:
        return Presentation(rule=rule, what=what, chain=(draft.sign(world.root_key),), key=key, admit=admit)

    yield shown("PATH-5280", "a right SVID", right, admit=True)
    yield from _leaves(world, right, uri, shown)
    yield from _paths(world, right, uri, key)


Shown = Callable[..., Presentation]


def _leaves(world: World, right: Draft, uri: str, shown: Shown) -> Iterator[Presentation]:
    now, domain, names = world.now, world.trust_domain, forging.uri_names
    longest = f"spiffe://{domain}/".ljust(MAX_BYTES, "a")
    server_client = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    yield shown("ID-LEN-ACCEPT", "an ID of 2048 bytes", right.having(names(longest)), admit=True)
    yield shown("SVID-URI-MULTI-REJECT", "two SPIFFE IDs", right.having(names(uri, uri + "2")))
    yield shown("SVID-URI-MULTI-REJECT", "a URI of another kind first", right.having(names("https://a.example/x", uri)))
    yield shown("SVID-OTHER-SAN-OK", "a DNS name beside it", right.having(names(uri, dns=["web.example"])), admit=True)
    yield shown("SVID-LEAF-PATH", "an ID without path", right.having(names(f"spiffe://{domain}")))
    yield shown("SVID-SCHEME-V", "another scheme", right.having(names(uri.replace("spiffe:", "https:"))))
    yield shown("LEAF-CA-FALSE", "a leaf that is a CA", right.having(constraints(ca=True)))
    agreeing = usage("digital_signature", "key_encipherment", "key_agreement")
    yield shown("LEAF-KU-KE-KA", "keyEncipherment and keyAgreement", right.having(agreeing), admit=True)
    yield shown("LEAF-NO-KCS", "keyCertSign", right.having(usage("digital_signature", "key_cert_sign")))
    yield shown("LEAF-NO-CRLSIGN", "cRLSign", right.having(usage("digital_signature", "crl_sign")))
    critical = right.having(extension(server_client, critical=True))
    yield shown("LEAF-EKU-CRIT-OK", "critical extendedKeyUsage", critical, admit=True)
    yield shown("LEAF-EKU-CRIT-OK", "no extendedKeyUsage", right.without(x509.ExtendedKeyUsage), admit=True)
    twice = replace(right, extensions=(*right.extensions, right.extensions[1]))
    yield shown("PATH-5280", "an extension twice", twice)
    yield shown("PATH-5280", "another algorithm inside", replace(right, announced_digest="sha384"))
    hour = timedelta(hours=1)
    yield shown("PATH-TIME", "expired", replace(right, ends=forging.moment(now - hour)))
    yield shown("PATH-TIME", "not yet valid", replace(right, begins=forging.moment(now + hour)))
    yield shown("PATH-CRIT-UNKNOWN", "an unknown critical extension", right.having((UNKNOWN_OID, True, b"\x05\x00")))
    yield shown("B-EMPTY", "of a domain without keys", right.having(names(f"spiffe://{world.revoked_domain}/x")))
    foreign = right.having(names(f"spiffe://{world.foreign_domain}/ns/shop/sa/web"))
    yield shown("TD-BUNDLE-BIND", "another domain's ID under this domain's root", foreign)


def _paths(world: World, right: Draft, uri: str, key: ec.EllipticCurvePrivateKey) -> Iterator[Presentation]:
    now, middle_key, low_key = world.now, *(ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    middle = forging.signer("middle", middle_key, now=now, issuer=world.root, uri=f"spiffe://{world.trust_domain}")

    def under(rule: str, what: str, draft: Draft, *, admit: bool = False, levels: int = 1) -> Presentation:
        """Give a leaf under this intermediate, or under another one below it."""
        signed = draft.sign(world.root_key)
        above, issuer_key = [signed], middle_key
        if levels == 2:
            low = forging.signer("low", low_key, now=now, issuer=signed, uri=f"spiffe://{world.trust_domain}")
            above, issuer_key = [low.sign(middle_key), signed], low_key
        lowest = forging.leaf(uri, above[0], key, now=now).sign(issuer_key)
        return Presentation(rule=rule, what=what, chain=(lowest, *above), key=key, admit=admit)

    one_level, no_level = constraints(ca=True, path_length=1), constraints(ca=True, path_length=0)
    elsewhere = x509.NameConstraints([x509.UniformResourceIdentifier(".elsewhere.example")], None)
    yield under("CA-CRLSIGN-OK", "a CA with cRLSign", middle.having(usage("key_cert_sign", "crl_sign")), admit=True)
    yield under("CA-PATHLEN", "a pathLen that is kept", middle.having(one_level), admit=True, levels=2)
    yield under("CA-PATHLEN", "one CA more than the pathLen", middle.having(no_level), levels=2)
    yield under("CA-NC", "an ID outside the name constraints", middle.having(extension(elsewhere, critical=True)))
    yield under("PATH-BC", "an issuer that is no CA", middle.having(constraints(ca=False)))
    yield under("PATH-KU", "an issuer without keyCertSign", middle.having(usage("digital_signature")))
    expired = replace(middle, ends=forging.moment(now - timedelta(hours=1)))
    yield under("PATH-TIME", "an expired intermediate", expired)
    signed = right.sign(world.root_key)
    broken = forging.tampered(signed)
    yield Presentation(rule="PATH-SIG", what="a broken signature", chain=(broken,), key=key, admit=False)
    renamed = forging.tampered(signed, old=b"/sa/web", new=b"/sa/wem")
    yield Presentation(rule="PATH-SIG", what="another ID in the signed part", chain=(renamed,), key=key, admit=False)
    stranger = forging.signer("nobody", middle_key, now=now).sign(middle_key)
    unknown = forging.leaf(uri, stranger, key, now=now).sign(middle_key)
    yield Presentation(rule="PATH-ISSUER", what="an unknown root", chain=(unknown, stranger), key=key, admit=False)
    signer = middle.sign(world.root_key)
    what = "a signing certificate as the leaf"
    yield Presentation(rule="CA-NOT-AUTHN", what=what, chain=(signer,), key=middle_key, admit=False)
