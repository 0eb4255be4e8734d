"""Whether the oracle was held against a real Istio: what reports say of it. Plain data, written after a differential run."""

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


def standing() -> str:
    """Give the word for a report: ``confirmed by ...`` or ``unconfirmed``, and by what run."""
    run = f"istio {ISTIO}, {CELLS} cells and {BINDINGS} groups of rivals side by side, {DATE}, commit {COMMIT}"
    return f"confirmed by {run}" if CELLS >= WANTED else f"unconfirmed: {WANTED} cells are wanted ({run})"
