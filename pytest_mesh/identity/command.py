"""``pytest-mesh svid``: judges a certificate chain from files, and shows what certificates say.

The only module of this package that reads files and the clock. It shows no
private key: PEM blocks of other kinds are passed over.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml
from cryptography import x509

from pytest_mesh.identity.bundle_rules import check_bundle, check_bundle_map
from pytest_mesh.identity.bundles import BundleError, read_bundle, read_bundle_map
from pytest_mesh.identity.der import DerError
from pytest_mesh.identity.encoding import check_encoding
from pytest_mesh.identity.findings import Finding, placed, violations
from pytest_mesh.identity.picture import lines, picture, shown
from pytest_mesh.identity.reading import MAX_BYTES, UnreadableError, load, split
from pytest_mesh.identity.rules import RULES
from pytest_mesh.identity.spiffe import check_id
from pytest_mesh.identity.svid import check_svid

Json = dict[str, Any]

_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
_OUTPUT = click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)


class Unreadable(click.ClickException):
    """A file that holds no certificates; exit code 2."""

    exit_code = 2

    def format_message(self) -> str:
        """Give the message without anything that a terminal obeys."""
        return shown(self.message)


class _Instant(click.ParamType[datetime]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read RFC 3339; a time without offset is UTC."""
        if isinstance(value, datetime):
            return value
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-03-01T12:00:00Z", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


_AT = click.option("--at", type=_Instant(), default=None, help="Judge as of this time (RFC 3339); else now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """What a file held: certificates by their index, and what is wrong with those that no parser takes."""

    what: str
    certificates: dict[int, x509.Certificate]
    findings: tuple[Finding, ...] = ()

    def place(self, text: str) -> str:
        """Turn an index among the readable ones into one in the file."""
        indices = list(self.certificates)
        return re.sub(rf"^{self.what}\[(\d+)\]", lambda match: f"{self.what}[{indices[int(match[1])]}]", text)


@click.group()
def command() -> None:
    """Judge and show X509-SVIDs."""


@command.command()
@click.option(
    "--chain", type=_FILE, required=True, help="The presented chain, leaf first: PEM, or one DER; - is stdin."
)
@click.option(
    "--bundle", type=_FILE, required=True, help="The trust bundle: PEM, one DER, or SPIFFE bundle JSON; - is stdin."
)
@click.option("--trust-domain", required=True, help="Whose bundle it is, without spiffe://.")
@_AT
@_OUTPUT
@click.pass_context
def check(ctx: click.Context, chain: Path, bundle: Path, trust_domain: str, at: datetime | None, output: str) -> None:
    """Judge a chain by every rule at once.

    Exit code 0: no MUST is broken; 1: at least one is; 2: something cannot be read.
    """
    wrong = check_id(f"spiffe://{trust_domain}")
    if wrong or "/" in trust_domain:
        reason = wrong[0].message if wrong else "it has a path"
        raise click.BadParameter(f"no trust domain: {shown(reason)}", param_hint="--trust-domain")
    if str(chain) == str(bundle) == "-":
        raise click.UsageError("--chain and --bundle cannot both come from stdin")
    moment = at or datetime.now(UTC)
    presented = _certificates(_read(chain), "chain", chain)
    anchors = _bundle(_read(bundle), trust_domain, bundle)
    leaf = presented.certificates.get(0)
    findings, path = [*presented.findings, *anchors.findings], list[str]()
    if leaf is not None:
        judged = check_svid(
            [*presented.certificates.values()], [*anchors.certificates.values()], trust_domain, at=moment
        )
        findings += [replace(one, field=anchors.place(presented.place(one.field))) for one in judged.findings]
        path = [anchors.place(presented.place(step.place)) for step in judged.path]
    document = {
        "verdict": "fail" if violations(findings) else "pass",
        "spiffeId": picture(leaf, at=moment)["spiffeId"] if leaf else None,
        "trustDomain": trust_domain,
        "at": f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "path": path,
        "findings": [_finding(one) for one in findings],
    }
    click.echo(_written(document, output) if output != "text" else "\n".join(_verdict(document)))
    ctx.exit(1 if violations(findings) else 0)


@command.command()
@click.argument("file", type=_FILE)
@_AT
@_OUTPUT
def show(file: Path, at: datetime | None, output: str) -> None:
    """Show what each certificate of a file says: PEM, or one DER; - is stdin."""
    moment = at or datetime.now(UTC)
    ders = _split(_read(file), file)
    try:
        pictures = [picture(load(one), at=moment) for one in ders]
    except (UnreadableError, DerError) as error:
        raise Unreadable(f"{file}: {error}") from error
    if output != "text":
        click.echo(_written({"certificates": pictures}, output))
        return
    for index, one in enumerate(pictures):
        click.echo("\n".join([f"certificate {index}", *lines(one)]))


def _read(path: Path) -> bytes:
    if str(path) == "-":
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{path}: {error}") from error


def _split(data: bytes, path: Path) -> list[bytes]:
    try:
        return split(data)
    except UnreadableError as error:
        raise Unreadable(f"{path}: {error}") from error


def _certificates(data: bytes, what: str, path: Path) -> _Material:
    """Read certificates; of one that no parser takes the bytes are judged, when they say why."""
    certificates: dict[int, x509.Certificate] = {}
    findings: list[Finding] = []
    for index, der in enumerate(_split(data, path)):
        try:
            certificates[index] = load(der)
        except UnreadableError as error:
            try:
                told = check_encoding(der)
            except DerError:
                told = []
            if not told:
                raise Unreadable(f"{path}: certificate {index}: {error}") from error
            findings += placed(f"{what}[{index}]", told)
    return _Material(what=what, certificates=certificates, findings=tuple(findings))


def _bundle(data: bytes, trust_domain: str, path: Path) -> _Material:
    if not data.lstrip().startswith(b"{"):
        return _certificates(data, "bundle", path)
    try:
        if b'"trust_domains"' in data:
            bundles, _ = read_bundle_map(data)
            if trust_domain not in bundles:
                raise Unreadable(f"{path}: the map has no bundle of {trust_domain}")
            read, told = bundles[trust_domain], check_bundle_map(data)
        else:
            read, told = read_bundle(data), check_bundle(data, trust_domain)
    except BundleError as error:
        raise Unreadable(f"{path}: {error}") from error
    return _Material(
        what="bundle", certificates=dict(enumerate(read.authorities)), findings=tuple(placed("bundle", told))
    )


def _finding(finding: Finding) -> Json:
    rule = RULES[finding.rule]
    return {
        "rule": finding.rule,
        "level": finding.level,
        "field": finding.field,
        "seen": finding.seen,
        "message": finding.message,
        "spec": rule.where,
        "url": rule.url,
    }


def _verdict(document: Json) -> Sequence[str]:
    findings = document["findings"]
    broken = sum(one["level"] == "must" for one in findings)
    name = shown(document["spiffeId"] or "a chain without a SPIFFE ID")
    path = " -> ".join(document["path"])
    out = [
        f"{document['verdict']}: {name} at {document['at']}, {broken} MUST broken, {len(findings)} findings, path {path}"
    ]
    for one in findings:
        out.append(f"{one['level'].upper():<6} {one['rule']:<20} {shown(one['field'])}")
        out.append(f"       {shown(one['message'])}")
        if one["seen"]:
            out.append(f"       seen: {shown(one['seen'])}")
        out.append(f"       {one['spec']} {one['url']}")
    return out


def _written(document: Json, output: str) -> str:
    if output == "json":
        return json.dumps(document, indent=1)
    return yaml.safe_dump(document, sort_keys=False, width=120).rstrip("\n")
