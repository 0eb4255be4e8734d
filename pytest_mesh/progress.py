"""What a long phase tells of itself while it runs, and how long each wait was: plain data and the seam.

It draws nothing and measures nothing; ``monitor`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How far a phase is. What is not known is left out of its line."""

    phase: str
    done: int | None = None
    total: int | None = None
    of: str = "requests"
    budget: float | None = None
    """Seconds that a wait may take."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Answers so far, by version: shown as shares."""

    def line(self, elapsed: float, *, first: int = 0) -> str:
        """Give the status in one line; the phase began ``elapsed`` seconds ago with ``first`` done."""
        words = []
        if self.done is not None:
            total = "" if self.total is None else f" of {self.total:,}"
            words.append(f"{self.done:,}{total} {self.of}")
            if self.of == "requests" and self.done > first and elapsed > 0:
                words.append(f"{(self.done - first) / elapsed:,.0f}/s")
        answered = sum(self.counts.values())
        words += [f"{name} {100 * count / answered:.1f} %" for name, count in sorted(self.counts.items()) if answered]
        words.append(f"{elapsed:.1f} s" if self.budget is None else f"{elapsed:.1f} of {self.budget:g} s")
        return f"{self.phase}: {', '.join(words)}"


class Monitor(Protocol):
    """Takes what phases tell, from any thread."""

    def show(self, status: Status) -> None:
        """Take a phase's status; the first one of a phase is its beginning."""

    def waited(self, what: str, seconds: float) -> None:
        """Take the length of a wait that is over."""


class _Silent:
    def show(self, status: Status) -> None:
        del status

    def waited(self, what: str, seconds: float) -> None:
        del what, seconds


SILENT: Final[Monitor] = _Silent()
"""Tells nobody."""
