"""What one test did and applied: kept while it runs, for the report's evidence and a failure's bundle. Plain state."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_mesh.contracts import Json
from pytest_mesh.progress import SILENT, Monitor

MAX_TRANSCRIPT = 2_000


@dataclass(slots=True)
class Record:
    """The notebook of one test; also what a client writes into."""

    applied: list[Json] = field(default_factory=list)
    transcript: list[Json] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0
    """Entries of the transcript that were too many."""
    secrets: set[str] = field(default_factory=set)
    """Values of Secrets that the test applied or read: taken out of whatever is written."""
    monitor: Monitor = SILENT
    """Whom long phases tell how far they are."""

    def write(self, entry: Json) -> None:
        """Add an entry to the transcript; beyond the limit only their number is kept."""
        if len(self.transcript) < MAX_TRANSCRIPT:
            self.transcript.append(entry)
        else:
            self.dropped += 1

    def facts(self, **facts: Any) -> None:
        """Add facts to the check's evidence; they must be JSON."""
        self.evidence.update(facts)
