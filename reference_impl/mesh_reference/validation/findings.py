"""What validation finds: a field, a rule, a severity, a sentence; and the one text made of them.

The webhook and the command line both print `Finding.text`, so that a refusal reads
the same wherever it is met. It holds no rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from mesh_reference.documents import Path, render

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rule says about one field."""

    path: Path
    rule: str
    severity: Severity
    message: str

    @property
    def text(self) -> str:
        """``spec.http[0].route[1].weight: weight -1 < 0 [V12]``."""
        return f"{render(self.path) or 'document'}: {self.message} [{self.rule}]"

    def to_json(self) -> dict[str, Any]:
        return {"path": render(self.path), "rule": self.rule, "severity": self.severity, "message": self.message}


class Findings:
    """Collects findings in the order in which the rules speak."""

    def __init__(self) -> None:
        self._all: list[Finding] = []

    def error(self, path: Path, rule: str, message: str) -> None:
        self._all.append(Finding(path=path, rule=rule, severity="error", message=message))

    def warning(self, path: Path, rule: str, message: str) -> None:
        self._all.append(Finding(path=path, rule=rule, severity="warning", message=message))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Those that refuse the resource."""
    return [finding for finding in findings if finding.severity == "error"]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Those that are only told."""
    return [finding for finding in findings if finding.severity == "warning"]


def refusal(findings: Iterable[Finding]) -> str:
    """The message of a refused admission; empty when nothing refuses."""
    lines = [finding.text for finding in errors(findings)]
    if not lines:
        return ""
    if len(lines) == 1:
        return f"configuration is invalid: {lines[0]}"
    return f"configuration is invalid: {len(lines)} errors occurred:\n" + "\n".join(f"\t* {line}" for line in lines)
