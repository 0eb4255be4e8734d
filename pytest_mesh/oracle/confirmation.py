"""Which differential run held the oracle against a real Istio, and which oracle that was. Plain data and one sentence, pure.

`make confirm` writes the constants after a run that passed. What the oracle's sources are where a report is written is
not this module's to find out (``pytest_mesh.confirming``).
"""

from __future__ import annotations

WANTED = 2000
"""Generated cells without an unexplained difference that confirm the oracle."""

ISTIO = "master-eed52eb"
"""Version of the Istio beside which the reference stood; the oracle judged Istio's answers."""
CELLS = 2000
"""Cells of the recorded run, without an unexplained difference."""
JUDGED = 13136
"""Requests of these cells of which the oracle says what may come, each sent twice or more."""
BINDINGS = 200
"""Groups of rival VirtualServices on one host, the same."""
DATE = "2026-11-23"
COMMIT = "c6844cc"
"""Of this repository, at the time of the run."""
DIGEST = "c0dd7a29e6291910a4f7f0c64008bcc96423774e3b70c509734ae5d965a162ab"
"""Of the oracle's sources, at the time of the run (``pytest_mesh.confirming.digest``)."""


def standing(digest: str | None) -> str:
    """Give the word for a report: ``confirmed by ...`` or ``unconfirmed: ...``, and by what run.

    Args:
        digest: of the oracle that speaks; None = its sources cannot be read.

    """
    run = f"istio {ISTIO}, {CELLS} cells and {BINDINGS} groups of rivals side by side, {DATE}, commit {COMMIT}"
    if CELLS < WANTED:
        return f"unconfirmed: {WANTED} cells are wanted ({run})"
    if digest is None:
        return f"unconfirmed: the oracle's sources cannot be read, so nobody knows whether they changed since ({run})"
    if digest != DIGEST:
        return f"unconfirmed: the oracle changed since it was held against {run}"
    return f"confirmed by {run}"
