"""A schedule in words."""

from __future__ import annotations

from jobs.choices import ScheduleType
from jobs.schedule_rules.cron import cron_words
from jobs.schedule_rules.slots import Schedule
from jobs.schedule_rules.time_zones import time_zone_of

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def describe(schedule: Schedule) -> str:
    """As ``every 15 minutes``, ``At 02:00 every day (Europe/Berlin)`` or ``once at …``."""
    if schedule.kind is ScheduleType.INTERVAL:
        return f"every {_duration(schedule.interval_seconds or 0)}"
    if schedule.kind is ScheduleType.CRON:
        return f"{cron_words(schedule.cron)} ({schedule.time_zone})"
    if schedule.kind is ScheduleType.ONETIME and schedule.run_at is not None:
        at = schedule.run_at.astimezone(time_zone_of(schedule.time_zone))
        return f"once at {at:%Y-%m-%d %H:%M:%S} ({schedule.time_zone})"
    return "no schedule"


def _duration(seconds: int) -> str:
    for size, unit in _UNITS:
        if seconds % size == 0:
            number = seconds // size
            return unit if number == 1 else f"{number} {unit}s"
    return f"{seconds} seconds"
