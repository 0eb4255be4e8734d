"""The whole verdict on a presented X509-SVID: names, profile, path and trust domain together. Pure.

``check_svid`` tells everything that is wrong; ``admit`` is the validator that
X509-SVID section 5 asks for, and the one that other validators are held against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from pytest_mesh.identity.findings import Finding, placed, violations
from pytest_mesh.identity.paths import Step, best_path
from pytest_mesh.identity.rules import found
from pytest_mesh.identity.spiffe import SpiffeId, SpiffeIdError
from pytest_mesh.identity.x509_svid import check_leaf, check_serials, check_signing, unreadable, uri_sans


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was found on a chain, and the path that was taken."""

    findings: tuple[Finding, ...]
    path: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        """No MUST is broken."""
        return not violations(self.findings)


def check_svid(
    chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate], trust_domain: str, *, at: datetime
) -> Judgement:
    """Judge a chain, leaf first, against the bundle of ``trust_domain`` at ``at`` (aware): everything at once."""
    path, findings = best_path(chain, bundle, at=at)
    if chain:
        findings = [*placed("chain[0]", check_leaf(chain[0])), *findings]
        findings += placed("chain[0]", _trust_domain(chain[0], trust_domain))
    for step in path[1:]:
        findings += placed(step.place, check_signing(step.certificate))
        findings += placed(step.place, _signers_trust_domain(step.certificate, trust_domain))
    findings += check_serials([step.certificate for step in path])
    return Judgement(findings=tuple(_once(findings)), path=tuple(path))


def admit(
    chain: Sequence[x509.Certificate], bundles: Mapping[str, Sequence[x509.Certificate]], *, at: datetime
) -> bool:
    """Say whether a validator that holds these bundles, by trust domain, lets the chain in."""
    return bool(chain) and check_svid(chain, bundles.get(domain_of(chain[0]), ()), domain_of(chain[0]), at=at).holds


def domain_of(certificate: x509.Certificate) -> str:
    """Give the trust domain of the first URI SAN that is a SPIFFE ID; empty without one."""
    for uri in [] if unreadable(certificate) else uri_sans(certificate):
        try:
            return SpiffeId.parse(uri).trust_domain
        except SpiffeIdError:
            continue
    return ""


def _trust_domain(leaf: x509.Certificate, trust_domain: str) -> list[Finding]:
    domain = domain_of(leaf)
    if not domain or domain == trust_domain:
        return []
    message = f"the ID is of trust domain {domain!r}, the bundle is that of {trust_domain!r}"
    return [found("ID-SIGNED", message, field="subjectAltName", seen=domain)]


def _signers_trust_domain(signer: x509.Certificate, trust_domain: str) -> list[Finding]:
    domain = domain_of(signer)
    if not domain or domain == trust_domain:
        return []
    message = f"the signing certificate's ID is of trust domain {domain!r}, the leaf's is {trust_domain!r}"
    return [found("CA-ID-TD", message, field="subjectAltName", seen=domain)]


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Say one thing of one place once: path and profile both look at unreadable extensions and key identifiers."""
    return list({(finding.rule, finding.field): finding for finding in findings}.values())
