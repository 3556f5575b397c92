"""Blackouts: times of the week in which a schedule starts nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from jobs.schedule_rules.errors import ScheduleError
from jobs.schedule_rules.time_zones import first_instant, last_instant, time_zone_of

MAX_LENGTH = 1000
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = "daily"
_WINDOW = re.compile(r"(?:(?P<days>\S+)\s+)?(\d\d):([0-5]\d)\s*-\s*(\d\d):([0-5]\d)")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
#: Windows that touch each other make one blackout; as they leave some time of each week, none is
#: longer.
_LONGEST = timedelta(days=8)
_FORM = "write it like mon-fri 08:00-18:00, sat,sun 00:00-24:00 or daily 22:00-04:00"

Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """One line: from ``start`` to ``end``, in minutes of the days on which it begins."""

    #: Monday is 0.
    days: frozenset[int]
    start: int
    #: More than a day's minutes when the window goes over midnight.
    end: int


@dataclass(frozen=True, slots=True)
class Blackouts:
    """All windows of a job, in one time zone."""

    windows: tuple[Window, ...]
    time_zone: str

    def around(self, moment: datetime) -> tuple[Span, ...]:
        """The blackouts of the days around the aware ``moment``, as instants in UTC.

        Ascending, joined where they touch. A start that clocks pass over is the instant of the
        change; a window that begins or ends in an hour that comes twice covers both.
        """
        if not self.windows:
            return ()
        return _spans(self, moment.astimezone(UTC).date())

    def end_of(self, moment: datetime) -> datetime | None:
        """Until when the blackout lasts in which ``moment`` lies; None outside of all."""
        ends = (end for start, end in self.around(moment) if start <= moment < end)
        return next(ends, None)


@lru_cache(maxsize=1024)
def parse_blackouts(text: str, time_zone: str) -> Blackouts:
    """The windows of ``text``, one a line. Raises ScheduleError that names each bad line."""
    if len(text) > MAX_LENGTH:
        raise ScheduleError(
            "blackouts", f"The blackouts are longer than {MAX_LENGTH} characters; shorten them."
        )
    windows, problems = list[Window](), list[str]()
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            windows.append(_parse_window(line.strip().lower()))
        except ValueError as error:
            problems.append(f"line {number} '{line.strip()}' {error}")
    if problems:
        raise ScheduleError("blackouts", f"Not understood: {'; '.join(problems)}.")
    if _cover_the_week(windows):
        raise ScheduleError("blackouts", "The blackouts leave no time of the week; shorten them.")
    return Blackouts(tuple(windows), time_zone)


def _parse_window(line: str) -> Window:
    match = _WINDOW.fullmatch(line)
    if match is None:
        raise ValueError(f"is no window: {_FORM}")
    start = int(match[2]) * 60 + int(match[3])
    end = int(match[4]) * 60 + int(match[5])
    if start >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise ValueError("has a time that no day has: 00:00 is the first, 24:00 the last")
    if start == end:
        raise ValueError("is empty: write 00:00-24:00 for a whole day")
    days = _parse_days(match["days"] or _EVERY_DAY)
    return Window(days, start, end if end > start else end + _DAY_MINUTES)


def _parse_days(text: str) -> frozenset[int]:
    if text == _EVERY_DAY:
        return frozenset(range(7))
    days = set[int]()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(f"has '{part}' for days: use {', '.join(_DAYS)} or {_EVERY_DAY}")
        begin = _DAYS.index(first)
        length = (_DAYS.index(last) - begin) % 7 if dash else 0
        days.update((begin + step) % 7 for step in range(length + 1))
    return frozenset(days)


def _cover_the_week(windows: list[Window]) -> bool:
    minutes = set[int]()
    for window in windows:
        for day in window.days:
            begin = day * _DAY_MINUTES
            covered = range(begin + window.start, begin + window.end)
            minutes.update(minute % _WEEK_MINUTES for minute in covered)
    return len(minutes) == _WEEK_MINUTES


@lru_cache(maxsize=1024)
def _spans(blackouts: Blackouts, day: date) -> tuple[Span, ...]:
    zone = time_zone_of(blackouts.time_zone)
    found = list[Span]()
    reach = _LONGEST.days
    for offset in range(-reach, reach + 1):
        midnight = datetime.combine(day + timedelta(days=offset), time())
        for window in blackouts.windows:
            if midnight.weekday() in window.days:
                start = midnight + timedelta(minutes=window.start)
                end = midnight + timedelta(minutes=window.end)
                found.append((first_instant(start, zone), last_instant(end, zone)))
    return tuple(_joined(sorted(found)))


def _joined(spans: list[Span]) -> list[Span]:
    joined = list[Span]()
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif start < end:
            joined.append((start, end))
    return joined
