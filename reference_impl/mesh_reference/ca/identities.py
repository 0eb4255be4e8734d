"""Workload identities as text, read strictly: one text, one identity, one SAN. Pure."""

from __future__ import annotations

import re

from mesh_reference.ca.authority import Identity
from mesh_reference.errors import MeshError

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_IDENTITY = re.compile(rf"spiffe://([a-z0-9._-]{{1,255}})/ns/({_LABEL})/sa/((?:{_LABEL})(?:\.{_LABEL})*)")
MAX_ACCOUNT_BYTES = 253


class IdentityError(MeshError):
    """A text that is no workload's identity in this trust domain."""


def parse(text: str, trust_domain: str) -> Identity:
    """Read ``spiffe://<trust domain>/ns/<namespace>/sa/<account>`` (IST-ID). Raises IdentityError.

    What is read and written again is the same text, so no second spelling of an
    identity passes: no case, no escape, no dot segment, no line end.
    """
    found = _IDENTITY.fullmatch(text)
    if not found or len(found[4]) > MAX_ACCOUNT_BYTES:
        raise IdentityError(f"{text[:200]!r} is not spiffe://<trust domain>/ns/<namespace>/sa/<account>")
    identity = Identity(trust_domain=trust_domain, namespace=found[2], service_account=found[4])
    if identity.uri != text:
        raise IdentityError(f"{text[:200]!r} is of trust domain {found[1]}, this is {trust_domain}")
    return identity
