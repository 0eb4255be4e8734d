"""Expected failures: which checks may fail, why, and until when. Pure: today's date is the caller's.

::

    format: 1
    expected:
    - id: mesh_conformance/routing/test_no_match.py::test_a_request_that_no_route_matches_is_404
      reason: our gateway answers 503 for now       # required
      issue: https://example.com/issues/7           # optional, as all that follows
      expires: 2027-03-31                           # the last day on which it counts
      signature: gave 503                           # must stand in the failure's message

An expected failure is *waived*, never passed: its feature is not supported. An
entry whose check passed, or whose day is over, is *stale*: the run ends with 11.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pytest_mesh import documents
from pytest_mesh.contracts import Evidence, Json

FORMAT: Final = 1
_KEYS: Final = ("id", "reason", "issue", "expires", "signature")


class WaiverError(ValueError):
    """A file of expected failures that cannot be used; one line per rule that it breaks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One expected failure. ``expires`` None = no end; ``signature`` empty = any failure of the check."""

    id: str
    reason: str
    issue: str = ""
    expires: dt.date | None = None
    signature: str = ""

    def to_json(self) -> Json:
        """Give what the report says of it."""
        data = {"id": self.id, "reason": self.reason, "issue": self.issue, "signature": self.signature}
        if self.expires:
            data["expires"] = self.expires.isoformat()
        return {key: value for key, value in data.items() if value}

    def expired(self, today: dt.date) -> bool:
        """Whether its last day is over."""
        return self.expires is not None and today > self.expires

    def excuses(self, message: str, today: dt.date) -> bool:
        """Whether a failure with this message is the expected one."""
        return not self.expired(today) and self.signature in message


def read(text: str, *, source: str) -> dict[str, Waiver]:
    """Read a file's text; give its entries by id. Raises ``WaiverError`` with everything that is wrong."""
    try:
        data = documents.load(text, source=source)
    except documents.DocumentError as error:
        raise WaiverError(str(error)) from error
    problems = list(_problems(data))
    if problems:
        raise WaiverError("\n".join(f"{source}: {line}" for line in problems))
    return {row["id"]: Waiver(**row) for row in data["expected"] or ()}


def unknown(waivers: Iterable[str], checks: Collection[str]) -> list[str]:
    """Name the entries that no check of a collected file bears, with what was probably meant.

    An entry of a file of which nothing was collected cannot be judged by this
    run and is left alone.
    """
    files = {name.partition("::")[0] for name in checks}
    lines = []
    for name in sorted(waivers):
        if name in checks or name.partition("::")[0] not in files:
            continue
        near = difflib.get_close_matches(name, list(checks), n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        lines.append(f"expected: no check has the id {name!r}{meant}")
    return lines


def stale(waivers: Mapping[str, Waiver], evidence: Iterable[Evidence], today: dt.date) -> list[str]:
    """Say of each entry that must go why: its check passed, or its day is over."""
    found = {one.check: one.outcome for one in evidence}
    lines = []
    for name, waiver in sorted(waivers.items()):
        if found.get(name) == "passed":
            lines.append(f"{name}: is expected to fail and passed: take the entry out")
        elif waiver.expired(today):
            lines.append(f"{name}: was expected to fail until {waiver.expires}: mend it, or say until when")
    return lines


def _problems(data: Any) -> Iterator[str]:
    if not isinstance(data, dict):
        yield "want a mapping with format and expected"
        return
    for key in data:
        if key not in {"format", "expected"}:
            yield f"{key}: is not known; want format and expected"
    if data.get("format") != FORMAT:
        yield f"format: is {data.get('format')!r}, this version reads {FORMAT}"
        return
    rows = data.get("expected")
    if rows is None and "expected" in data:
        return
    if not isinstance(rows, list):
        yield "expected: want a list of entries"
        return
    seen: dict[str, int] = {}
    for index, row in enumerate(rows):
        where = f"expected[{index}]"
        if not isinstance(row, dict):
            yield f"{where}: want a mapping with id and reason"
            continue
        yield from _row_problems(where, row)
        name = row.get("id")
        if isinstance(name, str):
            if name in seen:
                yield f"{where}.id: stands in expected[{seen[name]}] already"
            seen.setdefault(name, index)


def _row_problems(where: str, row: Json) -> Iterator[str]:
    for key in row:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            yield f"{where}.{key}: is not known{f'; did you mean {near[0]!r}?' if near else ''}"
    for key in ("id", "reason"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            yield f"{where}.{key}: is required"
    for key in ("issue", "signature"):
        if key in row and not isinstance(row[key], str):
            yield f"{where}.{key}: want text"
    expires = row.get("expires")
    if "expires" in row and (not isinstance(expires, dt.date) or isinstance(expires, dt.datetime)):
        yield f"{where}.expires: {expires!r} is no day (want YYYY-MM-DD)"
