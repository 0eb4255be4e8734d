"""What happens in a run, as it happens: one JSON object a line (``--mesh-report-ndjson``).

The file is begun by the first event: a run that does not start overwrites nothing.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from pytest_mesh.contracts import Evidence, Json


class Events:
    """Writes events to a file; to nowhere without a path. Lines are flushed one by one, for whoever follows."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def check(self, evidence: Evidence) -> None:
        """Write that a check ended."""
        self._write("check", dataclasses.asdict(evidence))

    def end(self, exit_code: int) -> None:
        """Write the run's exit code, and close the file."""
        if self._file is not None:
            self._write("end", {"exitCode": exit_code})
            self._file.close()
            self._file = None

    def _write(self, event: str, data: Json) -> None:
        if self._path is None:
            return
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w", encoding="utf-8")
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._file.write(json.dumps({"at": at, "event": event, **data}) + "\n")
        self._file.flush()
