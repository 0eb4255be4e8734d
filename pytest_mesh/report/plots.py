"""Small pictures as SVG text: a split with its confidence sequence, waits against the budget, a timeline. Pure.

Colours and text styles are the page's (``page.css``); whatever comes from a report is escaped here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from pytest_mesh.contracts import Json
from pytest_mesh.traffic.statistics import BETA, interval

_WIDTH = 640
_LEFT = 150
_ROW = 34
_AT = re.compile(r"\s*(\d+(?:\.\d+)?) s: (.*)", re.DOTALL)


def split(facts: Mapping[str, object]) -> str:
    """Draw each share: the claim with its tolerance, what was seen, and the confidence sequence; empty without counts."""
    counts, shares, delta = facts.get("counts"), facts.get("shares"), facts.get("delta")
    if not isinstance(counts, dict) or not isinstance(shares, dict) or not isinstance(delta, (int, float)):
        return ""
    names = [str(name) for name in {**shares, **counts}]
    total = sum(int(count) for count in counts.values())
    beta = facts.get("beta")
    level = float(beta) if isinstance(beta, (int, float)) else BETA
    claimed = {str(name): float(share) for name, share in shares.items()}
    bounds = {name: interval(int(counts.get(name, 0)), total, beta=level) for name in names}
    least = min(min(claimed.get(name, 0.0) - delta, bounds[name][0]) for name in names)
    most = max(max(claimed.get(name, 0.0) + delta, bounds[name][1]) for name in names)
    low, high = max(least - delta, 0.0), min(most + delta, 1.0)

    def x(share: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - 20) * (min(max(share, low), high) - low) / (high - low), 1)

    rows = []
    for number, name in enumerate(names):
        y = 12 + number * _ROW
        claim = claimed.get(name, 0.0)
        left, right = bounds[name]
        seen = int(counts.get(name, 0)) / total if total else 0.0
        rows.append(
            f'<text x="0" y="{y + 14}" class="label">{_text(name, 18)}</text>'
            f'<rect x="{x(claim - delta)}" y="{y}" width="{max(x(claim + delta) - x(claim - delta), 1):.1f}" height="20" '
            f'class="tolerance"/>'
            f'<line x1="{x(claim)}" x2="{x(claim)}" y1="{y}" y2="{y + 20}" class="claim"/>'
            f'<line x1="{x(left)}" x2="{x(right)}" y1="{y + 10}" y2="{y + 10}" class="interval"/>'
            f'<circle cx="{x(seen)}" cy="{y + 10}" r="4" class="seen"/>'
        )
    bottom = 12 + len(names) * _ROW + 12
    axis = "".join(
        f'<text x="{x(share)}" y="{bottom}" class="tick" text-anchor="middle">{100 * share:.1f} %</text>'
        for share in (low, (low + high) / 2, high)
    )
    said = ", ".join(
        f"{name} {100 * int(counts.get(name, 0)) / max(total, 1):.2f} % of claimed {100 * claimed.get(name, 0.0):g} %"
        for name in names
    )
    return _svg(
        bottom + 8, f"Split of {total} requests: {said}; tolerance {100 * delta:g} points", "".join(rows) + axis
    )


def waits(seconds: Sequence[tuple[str, float]], budget: float) -> str:
    """Draw how long each push took to reach the proxies, one dot per check, against the budget; empty without waits."""
    if not seconds:
        return ""
    longest = max(value for _, value in seconds)
    top = longest * 1.1 or 1.0

    def x(value: float) -> float:
        return round(20 + (_WIDTH - 40) * value / top, 1)

    dots = "".join(
        f'<circle cx="{x(value)}" cy="{18 + 9 * (number % 4)}" r="4" class="wait"><title>{_text(name, 200)}: '
        f"{value:.3f} s</title></circle>"
        for number, (name, value) in enumerate(seconds)
    )
    line = f'<line x1="20" x2="{_WIDTH - 20}" y1="58" y2="58" class="axis"/>'
    ticks = "".join(
        f'<text x="{x(value)}" y="74" class="tick" text-anchor="middle">{value:.2f} s</text>'
        for value in (0, top / 2, top)
    )
    return _svg(
        80, f"{len(seconds)} waits for configuration, the longest {longest:.2f} s of {budget:g} s", dots + line + ticks
    )


def timeline(entries: Sequence[object]) -> str:
    """Draw a rotation's events in their order: ``"1.5 s: text"`` or ``{"seconds": 1.5, "event": "text"}``."""
    events = [event for event in map(_event, entries) if event is not None]
    if not events:
        return ""
    end = max(at for at, _ in events) or 1.0
    rows = []
    for number, (at, text) in enumerate(events):
        x = round(10 + 140 * at / end, 1)
        y = 14 + number * 20
        rows.append(
            f'<line x1="10" x2="{x}" y1="{y}" y2="{y}" class="axis"/><circle cx="{x}" cy="{y}" r="4" class="seen"/>'
            f'<text x="160" y="{y + 4}" class="label">{at:.1f} s  {_text(text, 80)}</text>'
        )
    return _svg(14 + len(events) * 20, f"Timeline of {len(events)} events over {end:.1f} s", "".join(rows))


def _event(entry: object) -> tuple[float, str] | None:
    if isinstance(entry, str) and (found := _AT.match(entry)):
        return float(found[1]), found[2]
    if isinstance(entry, dict):
        data: Json = entry
        at = data.get("seconds")
        if isinstance(at, (int, float)):
            return float(at), str(data.get("event", ""))
    return None


def _text(text: str, limit: int) -> str:
    return escape(text if len(text) <= limit else text[: limit - 1] + "…")


def _svg(height: float, title: str, body: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )
