"""What makes a schedule valid."""

from __future__ import annotations

from datetime import UTC, datetime

from jobs.choices import CatchUp, ScheduleType
from jobs.schedule_rules.blackouts import parse_blackouts
from jobs.schedule_rules.cron import parse_cron
from jobs.schedule_rules.errors import ScheduleError
from jobs.schedule_rules.plans import Plan, next_starts
from jobs.schedule_rules.slots import Schedule
from jobs.schedule_rules.time_zones import check_time_zone

MIN_INTERVAL_SECONDS = 60
#: Times beyond it cannot be told in every time zone.
_LAST_YEAR = 9998


def check_schedule(
    *,
    schedule_type: ScheduleType,
    interval_seconds: int | None,
    cron: str,
    run_at: datetime | None,
    time_zone: str,
    blackouts: str = "",
    catch_up: CatchUp = CatchUp.RUN_ONCE,
    now: datetime | None = None,
) -> None:
    """Raise ScheduleError unless the settings make a schedule of ``schedule_type``.

    ``run_at`` and ``now`` are aware datetimes; ``now`` is the current time unless given.
    """
    now = now or datetime.now(UTC)
    check_time_zone(time_zone)
    windows = parse_blackouts(blackouts, time_zone)
    if schedule_type is ScheduleType.INTERVAL:
        _check_interval(interval_seconds)
    if schedule_type is ScheduleType.CRON:
        parse_cron(cron)
    if schedule_type is ScheduleType.ONETIME:
        _check_run_at(run_at, now)
    if schedule_type is ScheduleType.NONE or not windows.windows or catch_up is CatchUp.RUN_ONCE:
        return
    schedule = Schedule(
        kind=schedule_type,
        since=now,
        interval_seconds=interval_seconds,
        cron=cron,
        run_at=run_at,
        time_zone=time_zone,
    )
    plan = Plan(schedule=schedule, job_id=0, blackouts=windows, catch_up=catch_up)
    if not next_starts(plan, now, 1):
        raise ScheduleError(
            "blackouts",
            "Every planned time lies in a blackout, and missed times are skipped: nothing would "
            "ever start.",
        )


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
