"""Cron expressions and their planned times.

CronSim says which times on the wall an expression means, after Debian's cron. What becomes of them
when the clocks change follows cron(8) of Debian: an expression whose minute and hour are fixed runs
once on each of its days, also when its time is passed over or comes twice; one with a ``*`` there
goes by time that passes, so that every hour is an hour after the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab
from cronsim import CronSim, CronSimError

from jobs.schedule_rules.errors import ScheduleError
from jobs.schedule_rules.time_zones import exists, first_instant, last_instant, time_zone_of

#: The scheduler's columns of month and weekday hold no more.
_MAX_FIELD_LENGTH = 64
_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
#: Clocks are never put forward or back by more.
_SHIFT = timedelta(hours=3)
_NEAR = timedelta(hours=4)
#: How far back the newest time is looked for, nearest first: most expressions come often.
_LOOK_BACK = (timedelta(hours=3), timedelta(days=2), timedelta(days=40), timedelta(days=400))
_SOME_DAY = datetime(2001, 1, 1)  # noqa: DTZ001 - wall time


def parse_cron(cron: str) -> dict[str, str]:
    """The five fields of a cron expression by their scheduler's names. Raises ScheduleError.

    It has to mean something to Celery, whose scheduler rings, and to CronSim, which says when.
    """
    fields = cron_fields(cron)
    if max(map(len, fields.values())) > _MAX_FIELD_LENGTH:
        raise ScheduleError(
            "cron", f"A field of a cron expression has at most {_MAX_FIELD_LENGTH} characters."
        )
    try:
        crontab(**fields)
    except (ParseException, ValueError) as error:
        raise ScheduleError("cron", f"'{cron}' is no cron expression: {error}.") from error
    if next(_walls(cron, _SOME_DAY), None) is None:
        raise ScheduleError("cron", f"'{cron}' never occurs; no month has such a day.")
    return fields


def cron_fields(cron: str) -> dict[str, str]:
    """The five fields of ``cron`` as they stand. Raises ScheduleError when there are not five."""
    parts = cron.split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(
            "cron",
            f"A cron expression has 5 fields (minute hour day month weekday), not {len(parts)}.",
        )
    return dict(zip(_FIELDS, parts, strict=True))


def cron_words(cron: str) -> str:
    """What ``cron`` means, as ``At 02:00 on Monday``."""
    return CronSim(cron, _SOME_DAY).explain()


def cron_slots(*, cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """The planned times later than the aware ``after``: in UTC, ascending, each once, endless.

    Raises ScheduleError for what is no expression or no time zone.
    """
    zone = time_zone_of(time_zone)
    counts_hours = any(field.startswith("*") for field in cron.split()[:2])
    local = after.astimezone(zone).replace(tzinfo=None)
    newest, waiting = after, list[datetime]()
    for wall in _walls(cron, local - _disorder(local, zone)):
        for instant in _instants(wall, zone, counts_hours):
            heappush(waiting, instant)
        settled = wall.replace(tzinfo=zone).astimezone(UTC) - _disorder(wall, zone)
        while waiting and waiting[0] <= settled:
            slot = heappop(waiting)
            if slot > newest:
                newest = slot
                yield slot


def newest_cron_slot(
    *, cron: str, time_zone: str, since: datetime, now: datetime
) -> datetime | None:
    """The last planned time after ``since`` and not after ``now``; None where there is none.

    Looks forward only, from nearer and nearer to ``since``: what an expression means does not
    depend on where one begins to count.
    """
    for begin in (*(max(since, now - reach) for reach in _LOOK_BACK), since):
        newest = None
        for slot in cron_slots(cron=cron, time_zone=time_zone, after=begin):
            if slot > now:
                break
            newest = slot
        if newest is not None or begin == since:
            return newest
    return None


def _walls(cron: str, after: datetime) -> Iterator[datetime]:
    """The naive times of ``cron`` after a naive time."""
    try:
        return iter(CronSim(cron, after))
    except CronSimError as error:
        hint = "ranges go upwards, names have three letters, Sunday is 0"
        raise ScheduleError("cron", f"'{cron}' is no cron expression: {error} ({hint}).") from error


def _instants(wall: datetime, zone: ZoneInfo, counts_hours: bool) -> set[datetime]:
    """When a time on the wall is to be acted on."""
    if not counts_hours:
        return {first_instant(wall, zone)}
    if not exists(wall, zone):
        return set()
    return {first_instant(wall, zone), last_instant(wall, zone)}


def _disorder(wall: datetime, zone: ZoneInfo) -> timedelta:
    """By how much times on the wall near ``wall`` may be out of order: by nothing, mostly."""
    before, later = (wall - _NEAR).replace(tzinfo=zone), (wall + _NEAR).replace(tzinfo=zone)
    return timedelta() if before.utcoffset() == later.utcoffset() else _SHIFT
