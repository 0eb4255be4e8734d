"""Path validation of a presented chain against a trust bundle, by rule id. Pure: the instant is an argument.

RFC 5280 section 6.1 as far as SPIFFE needs it: signatures, names, time, CA
constraints, path length, name constraints, unknown critical extensions. No
revocation and no policies. ``cryptography``'s own verifier is not used: it
judges web server names, accepts two URI SANs and refuses a leaf without an
authority key identifier.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.distinguished_names import Canonical, canonical
from pytest_mesh.identity.encoding import check_structure
from pytest_mesh.identity.findings import Finding, one_per_rule, placed, violations
from pytest_mesh.identity.name_constraints import outside
from pytest_mesh.identity.rules import found
from pytest_mesh.identity.signatures import weakness
from pytest_mesh.identity.x509_svid import extension, unreadable

MAX_PATHS = 32
"""So many paths are judged at most; a hostile chain can make more of them than there are atoms."""
MAX_DEPTH = 16
MAX_CHAIN = 100
_MAX_STEPS = 500

_KNOWN_CRITICAL = {
    x509.BasicConstraints.oid,
    x509.KeyUsage.oid,
    x509.ExtendedKeyUsage.oid,
    x509.SubjectAlternativeName.oid,
    x509.NameConstraints.oid,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One certificate of a path and where it stood: ``chain[0]``, ``bundle[1]``."""

    place: str
    certificate: x509.Certificate


def check_chain(
    chain: Sequence[x509.Certificate],
    bundle: Sequence[x509.Certificate],
    *,
    at: datetime,
) -> list[Finding]:
    """Judge ``chain`` against ``bundle`` at the instant ``at`` (aware), by the best path that there is.

    The leaf comes first. What follows is material in any order: a root at its
    end is no fault, nor is a certificate that no path needs. Each certificate
    of the bundle is an anchor, self-signed or not, and is itself held to time,
    CA bit, key usage and constraints.
    """
    return best_path(chain, bundle, at=at)[1]


def best_path(
    chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate], *, at: datetime
) -> tuple[list[Step], list[Finding]]:
    """Give the path with the fewest broken MUSTs, leaf first and anchor last, and its findings."""
    if not chain:
        return [], [found("PATH-ISSUER", "the chain is empty", field="chain")]
    if len(chain) > MAX_CHAIN:
        message = f"the chain has {len(chain)} certificates; at most {MAX_CHAIN} are looked at"
        return [Step("chain[0]", chain[0])], [found("PATH-5280", message, field="chain", seen=len(chain))]
    best: tuple[list[Step], list[Finding]] | None = None
    for path in itertools.islice(_paths(chain, bundle), MAX_PATHS):
        findings = _judge(path, at)
        if best is None or len(violations(findings)) < len(violations(best[1])):
            best = path, findings
        if not violations(findings):
            break
    return best or _nowhere(chain, bundle)


def _nowhere(chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate]) -> tuple[list[Step], list[Finding]]:
    """Follow the issuers as far as they lead, and say whom nobody knows."""
    by_subject = {canonical(names.subject(one)): (index, one) for index, one in reversed(list(enumerate(chain)))}
    path, name = [Step("chain[0]", chain[0])], canonical(names.issuer(chain[0]))
    while (following := by_subject.get(name)) and following[1] not in [step.certificate for step in path]:
        path.append(Step(f"chain[{following[0]}]", following[1]))
        name = canonical(names.issuer(following[1]))
    issuer = names.issuer(path[-1].certificate).rfc4514_string() or "(empty name)"
    message = f"no certificate of the bundle ({len(bundle)}) is {issuer!r}, which issued the end of the chain"
    return path, [found("PATH-ISSUER", message, field=f"{path[-1].place}.issuer", seen=issuer)]


def _paths(chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate]) -> Iterator[list[Step]]:
    """Give paths of certificates whose names lead from the leaf to an anchor, the likely ones first."""
    anchors = _by_subject("bundle", bundle)
    known = {one.public_bytes(Encoding.DER) for one in bundle}
    others = _by_subject("chain", chain, leave_out=known)
    budget = itertools.count()

    def onward(path: list[Step]) -> Iterator[list[Step]]:
        if next(budget) > _MAX_STEPS:
            return
        last = path[-1].certificate
        issuer = canonical(names.issuer(last))
        for step in _likely_first(last, anchors.get(issuer, [])):
            yield [*path, step]
        if len(path) < MAX_DEPTH:
            used = [step.certificate for step in path]
            for step in _likely_first(last, [one for one in others.get(issuer, []) if one.certificate not in used]):
                yield from onward([*path, step])

    yield from onward([Step("chain[0]", chain[0])])


def _by_subject(
    where: str, certificates: Sequence[x509.Certificate], leave_out: set[bytes] | None = None
) -> dict[Canonical, list[Step]]:
    steps: dict[Canonical, list[Step]] = {}
    for index, certificate in enumerate(certificates):
        if leave_out is None or (index and certificate.public_bytes(Encoding.DER) not in leave_out):
            steps.setdefault(canonical(names.subject(certificate)), []).append(Step(f"{where}[{index}]", certificate))
    return steps


def _likely_first(child: x509.Certificate, issuers: list[Step]) -> list[Step]:
    return sorted(issuers, key=lambda step: bool(_keys_differ(child, step.certificate)))


def _judge(path: list[Step], at: datetime) -> list[Finding]:
    findings: list[Finding] = []
    for index, step in enumerate(path):
        issuer = path[index + 1] if index + 1 < len(path) else None
        findings += placed(step.place, one_per_rule(_one(path, index, issuer, at)))
    return findings


def _one(path: list[Step], index: int, issuer: Step | None, at: datetime) -> Iterator[Finding]:
    certificate = path[index].certificate
    what = "the leaf" if index == 0 else f"issuer {index}"
    yield from _time(certificate, what, at)
    yield from check_structure(certificate.public_bytes(Encoding.DER))
    if issuer and (why := weakness(certificate, issuer.certificate)):
        message = f"the signature on {what}: {why}"
        yield found("PATH-SIG", message, field="signature", seen=certificate.signature_algorithm_oid.dotted_string)
    if broken := unreadable(certificate):
        yield from broken
        return
    if issuer and (seen := _keys_differ(certificate, issuer.certificate)):
        message = f"the authorityKeyIdentifier of {what} is not its issuer's subjectKeyIdentifier"
        yield found("CERT-AKI", message, field="authorityKeyIdentifier", seen=seen)
    for one in certificate.extensions:
        if one.critical and one.oid not in _KNOWN_CRITICAL:
            message = f"{what} has an unknown critical extension {one.oid.dotted_string}"
            yield found("PATH-CRIT-UNKNOWN", message, field="extensions", seen=one.oid.dotted_string)
    if index:
        below = [step.certificate for step in path[:index]]
        yield from _issuer(certificate, what, below)


def _time(certificate: x509.Certificate, what: str, at: datetime) -> Iterator[Finding]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < begins:
        yield found(
            "PATH-TIME", f"{what} is not valid before {begins:%FT%TZ}", field="notBefore", seen=f"{begins:%FT%TZ}"
        )
    if at > ends:
        yield found("PATH-TIME", f"{what} expired at {ends:%FT%TZ}", field="notAfter", seen=f"{ends:%FT%TZ}")


def _issuer(certificate: x509.Certificate, what: str, below: list[x509.Certificate]) -> Iterator[Finding]:
    """Judge what an issuer may do; ``below`` is the path under it, leaf first."""
    basic = extension(certificate, x509.BasicConstraints)
    cas = sum(canonical(names.issuer(one)) != canonical(names.subject(one)) for one in below[1:])
    if basic is None or not basic.value.ca:
        yield found("PATH-BC", f"{what} is no CA", field="basicConstraints", seen="CA:FALSE" if basic else "absent")
    elif basic.value.path_length is not None and cas > basic.value.path_length:
        message = f"{what} allows {basic.value.path_length} CAs below it, there are {cas}"
        yield found("PATH-LEN", message, field="basicConstraints.pathLen", seen=basic.value.path_length)
    usage = extension(certificate, x509.KeyUsage)
    if usage and not usage.value.key_cert_sign:
        yield found("PATH-KU", f"{what} has keyUsage without keyCertSign", field="keyUsage")
    constraints = extension(certificate, x509.NameConstraints)
    if constraints is None:
        return
    for index, one in enumerate(below):
        if unreadable(one) or (index and canonical(names.issuer(one)) == canonical(names.subject(one))):
            continue  # the first is its own finding; a self-issued CA is exempt, RFC 5280 section 6.1.3 (b)
        for name, why in outside(one, constraints.value):
            yield found("PATH-NC", f"{what} has name constraints: {name} {why}", field="nameConstraints", seen=name)


def _keys_differ(child: x509.Certificate, issuer: x509.Certificate) -> str:
    """Give both key identifiers when both are there and differ."""
    if unreadable(child) or unreadable(issuer):
        return ""
    aki, ski = extension(child, x509.AuthorityKeyIdentifier), extension(issuer, x509.SubjectKeyIdentifier)
    if aki is None or ski is None or aki.value.key_identifier in {None, ski.value.digest}:
        return ""
    return f"{(aki.value.key_identifier or b'').hex()}, {ski.value.digest.hex()}"
