"""Keeps one entry of django-celery-beat per scheduled job.

Only the entry that a job owns is ever touched; the entries of others are theirs. The rows of
intervals, crontabs and clocked times are shared and stay: anybody's entry may use them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import count
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Model, QuerySet
from django.db.models.signals import pre_delete
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from credentials.models import Tag
from jobs.choices import ScheduleType
from jobs.models import Job
from jobs.queues import CONTROL_QUEUE
from jobs.schedule_rules import ScheduleError
from jobs.schedule_rules.cron import cron_fields
from jobs.schedule_rules.time_zones import time_zone_of
from jobs.services.jobs import job_save

logger = structlog.get_logger(__name__)

TASK_NAME = "jobs.launch_scheduled"
#: A ring that nobody heard for so long says nothing: the reconciler has looked meanwhile.
_RING_SECONDS = 60
_SCHEDULES: dict[str, type[Model]] = {
    "interval": IntervalSchedule,
    "crontab": CrontabSchedule,
    "clocked": ClockedSchedule,
}
_COLUMNS = {
    "interval": ("every", "period"),
    "crontab": ("minute", "hour", "day_of_month", "month_of_year", "day_of_week", "timezone"),
    "clocked": ("clocked_time",),
}
_ENTRY = "periodic_task__"
#: What an entry is apart from its schedule; each column with the value that it has here.
_PLAIN: dict[str, Any] = {
    "task": TASK_NAME,
    "queue": CONTROL_QUEUE,
    "kwargs": "{}",
    "expire_seconds": _RING_SECONDS,
    "solar": None,
    "exchange": None,
    "routing_key": None,
    "priority": None,
    "expires": None,
    "start_time": None,
}


@transaction.atomic
def job_save_scheduled(*, job: Job, tags: Iterable[Tag] | None = None) -> Job:
    """Save ``job`` and bring its schedule entry in step. Raises ValidationError."""
    job_save(job=job, tags=tags)
    schedule_sync(job=job)
    return job


@transaction.atomic
def job_delete(*, job: Job) -> None:
    """Delete ``job`` with its schedule entry; its runs and what they brought stay."""
    job.delete()


@transaction.atomic
def schedule_sync(*, job: Job) -> None:
    """Make, change or remove the schedule entry of a saved ``job``; one in step stays untouched."""
    stored = Job.objects.select_for_update(no_key=True).filter(pk=job.pk).first()
    if stored is None:
        return
    if _out_of_step(Job.objects.filter(pk=job.pk)):
        _bring_in_step(stored)
    job.periodic_task = stored.periodic_task


def entries_repair() -> int:
    """Bring every entry in step that somebody has edited or deleted; gives how many there were.

    Takes one query as long as all are in step.
    """
    wrong = _out_of_step(Job.objects.all())
    for job in Job.objects.filter(pk__in=wrong):
        schedule_sync(job=job)
    if wrong:
        logger.warning("schedule.mended", jobs=wrong)
    return len(wrong)


def connect() -> None:
    """Have the entry of a job go with it, however it is deleted."""
    pre_delete.connect(_delete_entry, sender=Job, dispatch_uid="netraven-schedule-entry")


def _delete_entry(instance: Job, **_: Any) -> None:
    for entry in PeriodicTask.objects.filter(job=instance.pk):
        entry.delete()


def _out_of_step(jobs: QuerySet[Job]) -> list[int]:
    """Ids of those of ``jobs`` whose entries are not as they should be."""
    columns = [*_PLAIN, "args", "enabled", "one_off"]
    columns += [f"{kind}__{column}" for kind, names in _COLUMNS.items() for column in names]
    rows = jobs.order_by("pk").values(
        *("pk", "schedule_type", "is_enabled", "interval_seconds", "cron", "run_at", "time_zone"),
        *("scheduled_since", "periodic_task_id"),
        *(f"{_ENTRY}{column}" for column in columns),
    )
    now = timezone.now()
    return [int(row["pk"]) for row in rows if not _is_in_step(row, now)]


def _is_in_step(row: Mapping[str, Any], now: datetime) -> bool:
    columns = {name: value for name, value in row.items() if name.startswith(_ENTRY)}
    wanted = _wanted(Job(**{name: row[name] for name in row.keys() - columns.keys()}), now)
    if wanted is None:
        return row["periodic_task_id"] is None
    found = {name.removeprefix(_ENTRY): value for name, value in columns.items()}
    zone = found["crontab__timezone"]
    found["crontab__timezone"] = zone and str(zone)
    return all(value == wanted.get(column) for column, value in found.items())


def _bring_in_step(job: Job) -> None:
    wanted, entry = _wanted(job, timezone.now()), job.periodic_task
    if wanted is None:
        if entry is not None:
            entry.delete()
        job.periodic_task = None
        return
    entry = entry or PeriodicTask(name=_free_name(job))
    for column, value in wanted.items():
        if "__" not in column:
            setattr(entry, column, value)
    for kind, model in _SCHEDULES.items():
        fields = {name: wanted.get(f"{kind}__{name}") for name in _COLUMNS[kind]}
        setattr(entry, kind, _shared(model, fields) if any(fields.values()) else None)
    # One that rang for another time would not ring for this one.
    entry.total_run_count = 0
    entry.save()
    Job.objects.filter(pk=job.pk).update(periodic_task=entry)
    job.periodic_task = entry


def _wanted(job: Job, now: datetime) -> dict[str, Any] | None:
    """How the entry of ``job`` has to be; None when it has to have none.

    An entry whose only time has passed is disabled: it has nothing left to ring for.
    """
    try:
        schedule = _schedule(job)
    except ScheduleError:
        return None
    if schedule is None:
        return None
    once = job.schedule_type == ScheduleType.ONETIME
    is_over = once and job.run_at is not None and job.run_at <= max(now, job.scheduled_since or now)
    enabled = {"enabled": job.is_enabled and not is_over, "one_off": once}
    return {**_PLAIN, **enabled, "args": json.dumps([job.pk]), **schedule}


def _schedule(job: Job) -> dict[str, Any] | None:
    """When the entry of ``job`` rings, as columns of it. Raises ScheduleError."""
    if job.schedule_type == ScheduleType.INTERVAL:
        period = IntervalSchedule.SECONDS
        return {"interval__every": job.interval_seconds, "interval__period": period}
    if job.schedule_type == ScheduleType.CRON:
        fields = {**cron_fields(job.cron), "timezone": str(time_zone_of(job.time_zone))}
        return {f"crontab__{name}": value for name, value in fields.items()}
    if job.schedule_type == ScheduleType.ONETIME:
        return {"clocked__clocked_time": job.run_at}
    return None


def _shared(schedule: type[Model], fields: dict[str, Any]) -> Model:
    """The schedule row with ``fields``. Nothing makes such rows unique, so there may be several."""
    rows = schedule._default_manager
    return rows.filter(**fields).first() or rows.create(**fields)


def _free_name(job: Job) -> str:
    """A name for the entry of ``job`` that nobody else's has."""
    name = f"netraven job {job.pk}"
    taken = set(PeriodicTask.objects.filter(name__startswith=name).values_list("name", flat=True))
    names = (name if number == 1 else f"{name} ({number})" for number in count(1))
    return next(free for free in names if free not in taken)
