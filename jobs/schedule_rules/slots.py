"""The planned times of a schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import count, islice

from jobs.choices import ScheduleType
from jobs.schedule_rules.cron import cron_slots, newest_cron_slot
from jobs.schedule_rules.errors import ScheduleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is planned: every so many seconds, by a cron expression, or once."""

    kind: ScheduleType
    #: Planned times are later than it, and intervals count from it. Aware.
    since: datetime
    interval_seconds: int | None = None
    cron: str = ""
    run_at: datetime | None = None
    #: Of the cron expression.
    time_zone: str = "UTC"


def last_slot(schedule: Schedule, now: datetime) -> datetime | None:
    """The newest planned time that is not after ``now``, in UTC; None when none has come yet."""
    if schedule.kind is ScheduleType.CRON:
        if _is_all_ahead(schedule, now):
            return None
        return newest_cron_slot(
            cron=schedule.cron, time_zone=schedule.time_zone, since=schedule.since, now=now
        )
    if schedule.kind is ScheduleType.INTERVAL:
        passed = (now - schedule.since) // _interval(schedule)
        return _interval_slot(schedule, passed) if passed > 0 else None
    if schedule.kind is ScheduleType.ONETIME and schedule.run_at is not None:
        return schedule.run_at if schedule.since < schedule.run_at <= now else None
    return None


def slots_after(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """The planned times later than ``after``, in UTC and ascending."""
    after = max(after, schedule.since)
    if schedule.kind is ScheduleType.CRON:
        yield from cron_slots(cron=schedule.cron, time_zone=schedule.time_zone, after=after)
    elif schedule.kind is ScheduleType.INTERVAL:
        passed = (after - schedule.since) // _interval(schedule)
        yield from (_interval_slot(schedule, number) for number in count(passed + 1))
    elif schedule.kind is ScheduleType.ONETIME:
        yield from (at for at in [schedule.run_at] if at is not None and at > after)


def next_slots(schedule: Schedule, now: datetime, number: int) -> list[datetime]:
    """The next planned times after ``now``, at most ``number`` of them."""
    return list(islice(slots_after(schedule, now), number))


@lru_cache(maxsize=4096)
def next_slot(schedule: Schedule, after: datetime) -> datetime | None:
    """The first planned time later than ``after``; None when there is no more."""
    return next(slots_after(schedule, after), None)


def rewound(schedule: Schedule, now: datetime) -> Schedule:
    """``schedule`` as if ``since`` were not after ``now``; intervals stay on their grid."""
    if schedule.since <= now:
        return schedule
    if schedule.kind is not ScheduleType.INTERVAL:
        return replace(schedule, since=now)
    back = -((now - schedule.since) // _interval(schedule))
    return replace(schedule, since=_interval_slot(schedule, -back))


def _is_all_ahead(schedule: Schedule, now: datetime) -> bool:
    """Whether nothing has come yet, from memory as long as the schedule stays the same."""
    first = next_slot(schedule, schedule.since)
    return first is None or first > now


def _interval(schedule: Schedule) -> timedelta:
    if not schedule.interval_seconds:
        raise ScheduleError("interval_seconds", "An interval schedule needs interval_seconds.")
    return timedelta(seconds=schedule.interval_seconds)


def _interval_slot(schedule: Schedule, number: int) -> datetime:
    return schedule.since.astimezone(UTC) + number * _interval(schedule)
