"""Judges how bundles come to others: the order of publishing and signing, a bundle endpoint, a Workload API. Pure.

Each judge takes what somebody observed, as plain data. Nothing is fetched here.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pytest_mesh.identity import der
from pytest_mesh.identity.findings import Finding, one_per_rule
from pytest_mesh.identity.reading import UnreadableError, load
from pytest_mesh.identity.rules import found
from pytest_mesh.identity.x509_svid import extension, unreadable

AHEAD = 3
"""FED 4.1: so many refresh hints before its first signature a new key should be published."""
AT_ONCE = timedelta(seconds=5)
INVALID_ARGUMENT, PERMISSION_DENIED = 3, 7
"""gRPC codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """From ``at`` on the bundle held these authorities (any name for a key that is the same each time)."""

    at: datetime
    authorities: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """At ``at`` an authority signed an SVID that lives until ``ends``."""

    at: datetime
    authority: str
    ends: datetime


def check_rotation(
    published: Sequence[Published], issued: Sequence[Issued], *, refresh_hint: timedelta = timedelta(0)
) -> list[Finding]:
    """Judge a rotation: new keys are published before they sign, old ones stay while something leads to them."""
    history = sorted(published, key=lambda one: one.at)
    return one_per_rule([*_new_keys(history, issued, refresh_hint), *_old_keys(history, issued)])


def _new_keys(history: list[Published], issued: Sequence[Issued], hint: timedelta) -> Iterator[Finding]:
    first_known = {name: one.at for one in reversed(history) for name in one.authorities}
    beginning = history[0].at if history else None
    for svid in issued:
        known = first_known.get(svid.authority)
        if known is None or known > svid.at:
            message = f"{svid.authority!r} signed at {svid.at:%FT%TZ} and was not published then"
            yield found("FED-NEW-KEY-FIRST", message, field="authority", seen=svid.authority)
        elif known != beginning and svid.at - known < AHEAD * hint:
            message = f"{svid.authority!r} signed {svid.at - known} after it was published, {AHEAD * hint} are asked"
            yield found("FED-NEW-KEY-FIRST", message, field="authority", seen=svid.authority, level="should")


def _old_keys(history: list[Published], issued: Sequence[Issued]) -> Iterator[Finding]:
    for svid in issued:
        for before, after in itertools.pairwise(history):
            gone = svid.authority in before.authorities and svid.authority not in after.authorities
            if gone and svid.at <= after.at < svid.ends:
                message = (
                    f"{svid.authority!r} was taken away at {after.at:%FT%TZ}; an SVID of it lived to {svid.ends:%FT%TZ}"
                )
                yield found("FED-OLD-KEY-LAST", message, field="authority", seen=svid.authority)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSeen:
    """One answer of a bundle endpoint, and what its publisher had as the latest bundle then."""

    asked_client_certificate: bool
    content_type: str
    body: bytes
    latest: bytes


def check_endpoint(seen: EndpointSeen) -> list[Finding]:
    """Judge a bundle endpoint: FED-NO-CLIENT-AUTH, FED-LATEST, FED-UTF8."""
    findings = []
    if seen.asked_client_certificate:
        findings.append(found("FED-NO-CLIENT-AUTH", "the endpoint asked for a client certificate", field="tls"))
    try:
        seen.body.decode()
    except UnicodeDecodeError as error:
        findings.append(found("FED-UTF8", f"no UTF-8 at byte {error.start}", field="body"))
        return findings
    if seen.content_type.partition(";")[0].strip().lower() != "application/json":
        message = "the content type should be application/json"
        findings.append(found("FED-UTF8", message, field="content-type", seen=seen.content_type, level="should"))
    if not _same_json(seen.body, seen.latest):
        findings.append(found("FED-LATEST", "the answer is not the latest bundle", field="body"))
    return findings


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return one == other


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadSvid:
    """One SVID of a Workload API message: DER certificates one after the other, and the key. Its text shows no key."""

    spiffe_id: str
    certificates: tuple[bytes, ...]
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadApiSeen:
    """What a caller saw of ``FetchX509SVID``. Codes are gRPC's."""

    code_without_header: int
    code_without_identity: int
    entitled: frozenset[str]
    """The IDs that the caller is registered for."""
    messages: tuple[tuple[WorkloadSvid, ...], ...]
    first_after: timedelta
    """From the call to the first message."""


def check_workload_api(seen: WorkloadApiSeen) -> list[Finding]:
    """Judge a Workload API: the rules WL-*, each once."""
    return one_per_rule(_workload_api(seen))


def _workload_api(seen: WorkloadApiSeen) -> Iterator[Finding]:
    if seen.code_without_header != INVALID_ARGUMENT:
        message = "a call without workload.spiffe.io: true is answered with InvalidArgument"
        yield found("WL-HEADER", message, field="code", seen=seen.code_without_header)
    if seen.code_without_identity != PERMISSION_DENIED:
        message = "a caller without identity is answered with PermissionDenied"
        yield found("WL-DENY", message, field="code", seen=seen.code_without_identity)
    if not seen.messages or seen.first_after > AT_ONCE:
        yield found("WL-FIRST", "the first message does not come at once", field="time", seen=seen.first_after)
    for index, message_seen in enumerate(seen.messages):
        where = f"messages[{index}]"
        given = {svid.spiffe_id for svid in message_seen}
        if given != seen.entitled:
            message = "a message has every SVID of its caller, and no other"
            yield found("WL-FULL", message, field=where, seen=", ".join(sorted(given ^ seen.entitled)))
        for svid in message_seen:
            yield from _svid(svid, where)


def _svid(svid: WorkloadSvid, where: str) -> Iterator[Finding]:
    try:
        serialization.load_der_private_key(svid.key, password=None)
    except (ValueError, TypeError) as error:
        yield found(
            "WL-KEY", f"the key is no PKCS#8 that can be read without a password: {error}", field=f"{where}.key"
        )
    else:
        if not _is_pkcs8(svid.key):
            yield found("WL-KEY", "the key is not written as PKCS#8", field=f"{where}.key")
    try:
        chain = [load(one) for one in svid.certificates]
    except UnreadableError as error:
        yield found("WL-LEAF-FIRST", str(error), field=f"{where}.certificates")
        return
    if not chain or _is_ca(chain[0]) or not all(_is_ca(one) for one in chain[1:]):
        yield found("WL-LEAF-FIRST", "the leaf is not the first certificate", field=f"{where}.certificates")


def _is_pkcs8(key: bytes) -> bool:
    """Look at the shape alone: a version, an algorithm and the key in an OCTET STRING (RFC 5208)."""
    tags = [one.tag for one in der.children(der.read(key).content)]
    return tags[:3] == [der.INTEGER, der.SEQUENCE, der.OCTET_STRING]


def _is_ca(certificate: x509.Certificate) -> bool:
    basic = None if unreadable(certificate) else extension(certificate, x509.BasicConstraints)
    return basic is not None and basic.value.ca
