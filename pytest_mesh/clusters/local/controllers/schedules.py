"""Cron schedules: five fields (or ``@hourly``) in a time zone, and the times that they name. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], start=1
    )
}
_DAYS: Final = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_HORIZON: Final = timedelta(days=5 * 366)
"""A schedule that names no time within it (30 February) names none at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When something is to happen."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 = Sunday."""
    either_day: bool
    """Both days of the month and of the week are restricted: then one of them suffices."""
    zone: ZoneInfo

    @classmethod
    def read(cls, text: str, zone: str = "UTC") -> Schedule:
        """Read a schedule; ValueError says which field it is that cannot be read."""
        fields = _NAMED.get(text.strip(), text).split()
        if len(fields) != 5:
            raise ValueError(f"expected exactly 5 fields, found {len(fields)}: {text!r}")
        minutes, hours, days, months, weekdays = fields
        return cls(
            minutes=_field(minutes, 0, 59),
            hours=_field(hours, 0, 23),
            days=_field(days, 1, 31),
            months=_field(months, 1, 12, _MONTHS),
            weekdays=frozenset(day % 7 for day in _field(weekdays, 0, 7, _DAYS)),
            either_day=days[0] not in "*?" and weekdays[0] not in "*?",
            zone=ZoneInfo(zone),
        )

    def after(self, moment: datetime) -> datetime | None:
        """Give the first time later than ``moment``, in UTC; None when there is none."""
        # In UTC minute by minute, so that an hour that the zone leaves out or has twice does no harm.
        at = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = at + _HORIZON
        while at < end:
            local = at.astimezone(self.zone)
            if not self._is_day(local):
                at += timedelta(minutes=(24 - local.hour) * 60 - local.minute if local.hour < 22 else 60 - local.minute)
            elif local.hour not in self.hours:
                at += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _is_day(self, local: datetime) -> bool:
        if local.month not in self.months:
            return False
        of_month, of_week = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return of_month or of_week if self.either_day else of_month and of_week


def _field(text: str, first: int, last: int, names: Mapping[str, int] | None = None) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = int(step_text) if slash else 1
        if span in {"*", "?"}:
            low, high = first, last
        else:
            start, dash, end = span.partition("-")
            low = _number(start, names)
            high = _number(end, names) if dash else (last if slash else low)
        if step < 1 or not first <= low <= high <= last:
            raise ValueError(f"{part!r} is not within {first} to {last}")
        found.update(range(low, high + 1, step))
    return frozenset(found)


def _number(text: str, names: Mapping[str, int] | None) -> int:
    return (names or {})[text.lower()] if text.lower() in (names or {}) else int(text)
