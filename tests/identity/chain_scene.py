"""What faults are put into: a hierarchy of certificates under construction, and the keys that sign it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pytest_mesh.identity import forging
from pytest_mesh.identity.forging import Draft, Key

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TD = "example.org"
ID = f"spiffe://{TD}/ns/shop/sa/web"
UNKNOWN = "1.3.6.1.4.1.99999.1"


@cache
def keys() -> tuple[list[Key], Key]:
    """Keys that are strong enough, and one that is not."""
    strong: list[Key] = [ec.generate_private_key(ec.SECP256R1()) for _ in range(8)]
    strong += [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)]
    return strong, rsa.generate_private_key(65537, 1024)


@dataclass
class Scene:
    """A hierarchy under construction: drafts from the root to the leaf, and what happens to the signed ones."""

    rng: random.Random
    drafts: list[Draft] = field(default_factory=list)
    signers: list[Key] = field(default_factory=list)
    """Each draft's issuer's key."""
    frozen: set[int] = field(default_factory=set)
    """Drafts whose issuer name or AKI is a fault, so that it stays."""
    keyless: set[int] = field(default_factory=set)
    """Drafts that are to have no AKI."""
    after: list[Callable[[list[x509.Certificate]], None]] = field(default_factory=list)
    """Changes to the signed certificates, root first."""
    arrange: list[Callable[[list[x509.Certificate], list[x509.Certificate]], None]] = field(default_factory=list)
    """Changes to chain (leaf first, without root) and bundle."""
    names: list[str] = field(default_factory=list)

    def issuer(self) -> int:
        return self.rng.randrange(len(self.drafts) - 1)

    def any(self) -> int:
        return self.rng.randrange(len(self.drafts))

    def change(self, index: int, **fields: object) -> None:
        self.drafts[index] = replace(self.drafts[index], **fields)

    def having(self, index: int, *extensions: forging.Extension) -> None:
        self.drafts[index] = self.drafts[index].having(*extensions)

    def without(self, index: int, *kinds: type) -> None:
        self.drafts[index] = self.drafts[index].without(*kinds)


def ski(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
