"""When jobs start, read from their rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import QuerySet
from django.utils import timezone

from jobs.choices import CatchUp, ScheduleType
from jobs.models import Job, JobRun
from jobs.schedule_rules import (
    Plan,
    Schedule,
    ScheduleError,
    describe,
    next_starts,
    parse_blackouts,
)
from jobs.schedule_rules.time_zones import time_zone_of

_NEXT_STARTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleReport:
    """What there is to know of when a job starts. Times are aware."""

    job: Job
    #: In words, or why the schedule cannot be kept.
    schedule: str
    #: The newest planned time that was answered, and the run that answered it.
    last_run: JobRun | None
    next_starts: list[datetime]


def scheduled_jobs() -> QuerySet[Job]:
    """The jobs that start by themselves."""
    return Job.objects.filter(is_enabled=True, scheduled_since__isnull=False).exclude(
        schedule_type=ScheduleType.NONE
    )


def plan_of(job: Job) -> Plan | None:
    """When ``job`` starts by itself; None when it does not, or is disabled.

    Raises ScheduleError for a row that no form would have let in.
    """
    if not job.is_enabled or job.scheduled_since is None:
        return None
    return Plan(
        schedule=schedule_of(job, since=job.scheduled_since),
        job_id=job.pk,
        blackouts=parse_blackouts(job.blackouts, job.time_zone),
        jitter_seconds=job.start_jitter_seconds,
        catch_up=CatchUp(job.catch_up),
    )


def schedule_of(job: Job, *, since: datetime) -> Schedule:
    """The planned times of ``job`` after the aware ``since``."""
    return Schedule(
        kind=ScheduleType(job.schedule_type),
        since=since,
        interval_seconds=job.interval_seconds,
        cron=job.cron,
        run_at=job.run_at,
        time_zone=job.time_zone,
    )


def next_starts_of(job: Job) -> list[datetime]:
    """The next five times at which ``job`` starts by itself, in UTC, jitter and blackouts included.

    Takes no query. A schedule that cannot be kept has none.
    """
    try:
        plan = plan_of(job)
        return [] if plan is None else next_starts(plan, timezone.now(), _NEXT_STARTS)
    except ScheduleError:
        return []


def local_time(job: Job, moment: datetime) -> str:
    """``moment`` as clocks show it in the time zone of ``job``, which is named."""
    try:
        local = moment.astimezone(time_zone_of(job.time_zone))
    except ScheduleError:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{local:%Y-%m-%d %H:%M:%S} {job.time_zone}"


def blackout_notice(job: Job) -> str | None:
    """What to tell whoever starts ``job`` by hand in a blackout; None outside of all."""
    try:
        end = parse_blackouts(job.blackouts, job.time_zone).end_of(timezone.now())
    except ScheduleError:
        return None
    if end is None:
        return None
    until = local_time(job, end)
    return f"job '{job.name}' has a blackout until {until}; it holds back scheduled runs only"


def planned_starts(job: Job) -> list[datetime]:
    """The next five times at which ``job`` would start by itself if it were saved as it is.

    In UTC. The start jitter of a job that has never been saved is not known and left out.
    """
    since = job.scheduled_since or timezone.now().replace(microsecond=0)
    plan = Plan(
        schedule=schedule_of(job, since=since),
        job_id=job.pk or 0,
        blackouts=parse_blackouts(job.blackouts, job.time_zone),
        jitter_seconds=job.start_jitter_seconds if job.pk else 0,
        catch_up=CatchUp(job.catch_up),
    )
    return next_starts(plan, timezone.now(), _NEXT_STARTS)


def schedule_reports(*, jobs: Iterable[Job]) -> list[ScheduleReport]:
    """A report for each of ``jobs``, in a constant number of queries."""
    jobs = list(jobs)
    newest = (
        JobRun.objects.filter(job__in=jobs, slot_at__isnull=False)
        .order_by("job_id", "-slot_at")
        .distinct("job_id")
    )
    runs = {run.job_id: run for run in newest}
    return [
        ScheduleReport(
            job=job,
            schedule=schedule_in_words(job),
            last_run=runs.get(job.pk),
            next_starts=next_starts_of(job),
        )
        for job in jobs
    ]


def schedule_in_words(job: Job) -> str:
    """As ``every 15 minutes``, or why the schedule cannot be kept."""
    try:
        words = describe(schedule_of(job, since=job.scheduled_since or job.created_at))
    except ScheduleError as error:
        return f"cannot be kept: {error.message}"
    return words if job.is_enabled else f"{words}, disabled"
