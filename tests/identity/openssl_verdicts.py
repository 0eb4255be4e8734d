"""What ``openssl verify`` says of a generated chain, beside our own path validation, and why they differ when they do."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import generated_chains
from chain_scene import AT
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from generated_chains import Case

from pytest_mesh.identity import distinguished_names as names
from pytest_mesh.identity.distinguished_names import canonical
from pytest_mesh.identity.encoding import serial
from pytest_mesh.identity.findings import Finding, violations
from pytest_mesh.identity.paths import Step, best_path
from pytest_mesh.identity.x509_svid import extension, unreadable

PROGRAM = (
    "openssl", "verify", "-no-CApath", "-no-CAstore", "-partial_chain", "-auth_level", "2", "-attime", str(int(AT.timestamp())),
)  # fmt: skip
"""An intermediate in the bundle is an anchor by itself, as Envoy has it; 112 bits of security."""
POLICIES = {"2.5.29.32": "certificatePolicies", "2.5.29.36": "policyConstraints", "2.5.29.31": "cRLDistributionPoints"}

EXPLAINED = {
    "last second": "a certificate ends in this very second; RFC 5280 section 4.1.2.5: the validity includes both ends",
    "one path": "OpenSSL picks issuers by name and key identifier and does not go back when a signature fails; given our path alone it accepts it, unless two in it have one name",
    "issuer and serial": "authorityKeyIdentifier names the issuer's serial, and wrongly: to RFC 5280 a hint for building paths",
    "leaf's own key": "the leaf's key has less than 112 bits; a path is about signatures, what keys are signed is the CA's check (M35)",
    "no basicConstraints": "an issuer says nowhere that it is a CA; OpenSSL takes version 1 roots and keyCertSign for it",
    "critical, not heeded": "policies and CRL distribution points are critical; OpenSSL knows them and heeds them only when told to",
    "leaf in the bundle": "the presented leaf stands in the bundle; OpenSSL trusts it for that, to us an anchor is an issuer",
    "the anchor's algorithms": "the anchor's algorithm inside is not that outside; OpenSSL does not look at an anchor's signature",
}
"""Why a difference is none of a fault, by name."""


@dataclass(frozen=True)
class Difference:
    seed: int
    faults: tuple[str, ...]
    ours: tuple[str, ...]
    theirs: str
    why: str
    """A name of EXPLAINED, or empty."""


@dataclass(frozen=True)
class Tally:
    """How often both accept, both refuse, and differ."""

    accepted: int
    refused: int
    differences: tuple[Difference, ...]

    @property
    def unexplained(self) -> list[Difference]:
        return [one for one in self.differences if not one.why]

    @property
    def reasons(self) -> Counter[str]:
        return Counter(one.why for one in self.differences)


def compare(seeds: Iterable[int]) -> Tally:
    accepted, refused, differences = 0, 0, []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            case = generated_chains.draw(seed)
            path, findings = best_path(case.chain, case.bundle, at=AT)
            broken = violations(findings)
            theirs = openssl(Path(folder), case.chain, case.bundle)
            if (theirs == "") == (not broken):
                accepted, refused = accepted + (not broken), refused + bool(broken)
                continue
            why = _stricter(case, path, broken) if broken else _laxer(Path(folder), case, path, theirs)
            rules = tuple(sorted({one.rule for one in broken}))
            differences.append(Difference(seed, case.faults, rules, theirs, why))
    return Tally(accepted, refused, tuple(differences))


def openssl(folder: Path, chain: Sequence[x509.Certificate], bundle: Sequence[x509.Certificate]) -> str:
    """Give the first error, by number and text; empty when it accepts."""
    for name, certificates in (("leaf", chain[:1]), ("above", chain[1:]), ("roots", bundle)):
        (folder / name).write_bytes(generated_chains.pem(tuple(certificates)))
    above = ["-untrusted", str(folder / "above")] if len(chain) > 1 else []
    done = subprocess.run(
        [*PROGRAM, "-CAfile", str(folder / "roots"), *above, str(folder / "leaf")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    error = re.search(r"error (\d+) at \d+ depth lookup: (.*)", done.stderr)
    assert error, done.stderr  # it refuses to read what we judged
    return f"{error[1]} {error[2]}"


def _laxer(folder: Path, case: Case, path: list[Step], theirs: str) -> str:
    """Say why OpenSSL refuses what we accept."""
    certificates = [step.certificate for step in path]
    leaf_key = case.chain[0].public_key()
    if theirs.startswith("10 ") and any(one.not_valid_after_utc == AT for one in [*case.chain, *case.bundle]):
        return "last second"
    if theirs.startswith("66 ") and isinstance(leaf_key, rsa.RSAPublicKey) and leaf_key.key_size < 2048:
        return "leaf's own key"
    if theirs.startswith("20 ") and any(map(_names_another_serial, certificates, certificates[1:])):
        return "issuer and serial"
    if _ambiguous(certificates) or not openssl(folder, certificates[:-1], certificates[-1:]):
        return "one path"
    return ""


def _ambiguous(path: list[x509.Certificate]) -> bool:
    """Say whether names alone do not say which of the path's own certificates issued which."""
    subjects = Counter(canonical(names.subject(one)) for one in path[1:])
    return any(subjects[canonical(names.issuer(one))] > 1 for one in path)


def _names_another_serial(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    aki = extension(child, x509.AuthorityKeyIdentifier)
    named = aki.value.authority_cert_serial_number if aki else None
    return named is not None and named != int.from_bytes(serial(issuer.public_bytes(Encoding.DER)), "big", signed=True)


def _stricter(case: Case, path: list[Step], broken: list[Finding]) -> str:
    """Say why we refuse what OpenSSL accepts: a reason for each finding."""
    if case.chain[0] in case.bundle:
        return "leaf in the bundle"
    by_place = {step.place: step.certificate for step in path}
    reasons = [_reason(one, by_place[one.field.partition(".")[0]]) for one in broken]
    return reasons[0] if all(reasons) else ""


def _reason(finding: Finding, certificate: x509.Certificate) -> str:
    if finding.rule == "PATH-BC" and not unreadable(certificate) and not extension(certificate, x509.BasicConstraints):
        return "no basicConstraints"
    if finding.rule == "PATH-CRIT-UNKNOWN" and set(finding.seen.split(", ")) <= set(POLICIES):
        return "critical, not heeded"
    if (
        finding.rule == "PATH-5280"
        and finding.field.startswith("bundle[")
        and finding.field.endswith("signatureAlgorithm")
    ):
        return "the anchor's algorithms"
    return ""
