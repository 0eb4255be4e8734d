"""What a judge says of a certificate, a chain or a bundle: one finding per rule id. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["must", "should", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule that does not hold, by its stable id (``SVID-URI-ONE``)."""

    rule: str
    level: Level
    message: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.level.upper()}): {self.message}"


def violations(findings: list[Finding]) -> list[Finding]:
    """Keep the findings that break a MUST."""
    return [finding for finding in findings if finding.level == "must"]
