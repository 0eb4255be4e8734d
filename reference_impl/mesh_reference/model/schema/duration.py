"""Durations as Istio's documents write them (Go's form), in whole nanoseconds.

It parses and knows no rule about which lengths are sensible.
"""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(r"[-+]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
MILLISECOND = 10**6
SECOND = 10**9
_LARGEST = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds of ``1.5s``, ``1h30m`` or ``-2ms``; ValueError on anything else or beyond 292 years."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration: write a number with a unit, such as 500ms, 1.5s or 1h30m")
    total = sum((Decimal(amount) * _UNITS[unit] for amount, unit in _PART.findall(text)), Decimal(0))
    if total > _LARGEST:
        raise ValueError(f"{text!r} is longer than 292 years")
    return -int(total) if text.startswith("-") else int(total)
