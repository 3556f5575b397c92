"""Time zones, and what their changes do to the time on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from jobs.schedule_rules.errors import ScheduleError

_MINUTE = timedelta(minutes=1)


@cache
def time_zones() -> frozenset[str]:
    """The names in the time zone database, as this process has first found it.

    The library opens each of its 600 files to tell.
    """
    return frozenset(available_timezones())


def check_time_zone(name: str) -> None:
    """Raise ScheduleError unless ``name`` is in the time zone database."""
    if name not in time_zones():
        raise _no_time_zone(name)


def time_zone_of(name: str) -> ZoneInfo:
    """The time zone with this name. Raises ScheduleError where this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _no_time_zone(name) from error


def exists(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether clocks in ``zone`` show the naive time ``wall``: not where they are put forward."""
    there_and_back = wall.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    return there_and_back.replace(tzinfo=None) == wall


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The instant in UTC at which clocks in ``zone`` show ``wall``, or pass over it.

    Of two such instants it is the first.
    """
    while not exists(wall, zone):
        wall += _MINUTE
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


def last_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """As ``first_instant``, but of two instants the last."""
    while not exists(wall, zone):
        wall += _MINUTE
    return wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _no_time_zone(name: str) -> ScheduleError:
    return ScheduleError("time_zone", f"'{name}' is no time zone; use a name such as UTC.")
