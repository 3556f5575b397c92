"""What makes a schedule valid, as pure functions."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import available_timezones

from celery.schedules import ParseException, crontab

from jobs.choices import ScheduleType

MIN_INTERVAL_SECONDS = 60
#: The scheduler's columns of month and weekday hold no more.
_MAX_CRON_FIELD_LENGTH = 64
#: Times beyond it cannot be told in every time zone.
_LAST_YEAR = 9998
_CRON_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


class ScheduleError(ValueError):
    """A schedule cannot be kept. ``field`` names the setting at fault."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def check_schedule(
    *,
    schedule_type: ScheduleType,
    interval_seconds: int | None,
    cron: str,
    run_at: datetime | None,
    time_zone: str,
    now: datetime | None = None,
) -> None:
    """Raise ScheduleError unless the settings make a schedule of ``schedule_type``.

    ``run_at`` and ``now`` are aware datetimes; ``now`` is the current time unless given.
    """
    check_time_zone(time_zone)
    if schedule_type is ScheduleType.INTERVAL:
        _check_interval(interval_seconds)
    if schedule_type is ScheduleType.CRON:
        parse_cron(cron)
    if schedule_type is ScheduleType.ONETIME:
        _check_run_at(run_at, now or datetime.now(UTC))


def check_time_zone(name: str) -> None:
    """Raise ScheduleError unless ``name`` is in the time zone database."""
    if name not in available_timezones():
        raise ScheduleError("time_zone", f"'{name}' is no time zone; use a name such as UTC.")


def parse_cron(cron: str) -> dict[str, str]:
    """The five fields of a cron expression by their scheduler's names. Raises ScheduleError."""
    parts = cron.split()
    if len(parts) != len(_CRON_FIELDS):
        raise ScheduleError(
            "cron",
            f"A cron expression has 5 fields (minute hour day month weekday), not {len(parts)}.",
        )
    if max(map(len, parts)) > _MAX_CRON_FIELD_LENGTH:
        raise ScheduleError(
            "cron", f"A field of a cron expression has at most {_MAX_CRON_FIELD_LENGTH} characters."
        )
    fields = dict(zip(_CRON_FIELDS, parts, strict=True))
    try:
        crontab(**fields)
    except (ParseException, ValueError) as error:
        raise ScheduleError("cron", f"'{cron}' is no cron expression: {error}.") from error
    return fields


def _check_interval(interval_seconds: int | None) -> None:
    if interval_seconds is None:
        raise ScheduleError("interval_seconds", "An interval schedule needs interval_seconds.")
    if interval_seconds < MIN_INTERVAL_SECONDS:
        raise ScheduleError(
            "interval_seconds",
            f"The interval is {interval_seconds} s; it must be at least {MIN_INTERVAL_SECONDS} s.",
        )


def _check_run_at(run_at: datetime | None, now: datetime) -> None:
    if run_at is None:
        raise ScheduleError("run_at", "A one-time schedule needs run_at.")
    if run_at.year > _LAST_YEAR:
        raise ScheduleError("run_at", f"{run_at.isoformat()} is too far away.")
    if run_at <= now:
        raise ScheduleError("run_at", f"{run_at.isoformat()} is in the past.")
