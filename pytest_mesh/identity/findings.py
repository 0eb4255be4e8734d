"""What a judge says of a certificate, a chain or a bundle: one finding per rule id. Pure data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Level = Literal["must", "should", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule that does not hold, by its stable id (``SVID-URI-ONE``)."""

    rule: str
    level: Level
    message: str
    field: str = ""
    """Where: ``chain[0].keyUsage``."""
    seen: str = ""
    """What stood there."""

    def __str__(self) -> str:
        return f"{self.rule} ({self.level.upper()}): {self.message}"


def violations(findings: Iterable[Finding]) -> list[Finding]:
    """Keep the findings that break a MUST."""
    return [finding for finding in findings if finding.level == "must"]


def one_per_rule(findings: Iterable[Finding]) -> list[Finding]:
    """Say each rule once: the strongest level, all messages, in the order of first appearance."""
    grouped: dict[str, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.rule, []).append(finding)
    return [_together(group) for group in grouped.values()]


def _together(group: Sequence[Finding]) -> Finding:
    if len(group) == 1:
        return group[0]
    level = min((finding.level for finding in group), key=("must", "should", "note").index)
    messages = dict.fromkeys(finding.message for finding in group)
    seen = dict.fromkeys(finding.seen for finding in group if finding.seen)
    return replace(group[0], level=level, message="; ".join(messages), seen=", ".join(seen))


def placed(where: str, findings: Iterable[Finding]) -> list[Finding]:
    """Put the certificate's place before each finding's field: ``chain[0]``."""
    return [replace(finding, field=f"{where}.{finding.field}" if finding.field else where) for finding in findings]
