"""Keeps one entry of django-celery-beat per scheduled job, and answers when it fires.

Only the entry that a job owns is ever touched; the entries of others are theirs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from celery import shared_task
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from credentials.models import Tag
from jobs.choices import ScheduleType, Trigger
from jobs.launch import JobDisabled, request_run
from jobs.models import Job
from jobs.schedule_rules import parse_cron
from jobs.services.jobs import job_save

logger = logging.getLogger(__name__)

_TASK_NAME = "jobs.launch_scheduled"
_SCHEDULE_FIELDS = ("interval", "crontab", "clocked")


@transaction.atomic
def job_save_scheduled(*, job: Job, tags: Iterable[Tag] | None = None) -> Job:
    """Save ``job`` and bring its schedule entry in step. Raises ValidationError."""
    job_save(job=job, tags=tags)
    schedule_sync(job=job)
    return job


@transaction.atomic
def job_delete(*, job: Job) -> None:
    """Delete ``job`` and its schedule entry; its runs stay."""
    entry = job.periodic_task
    job.delete()
    if entry is not None:
        entry.delete()


@transaction.atomic
def schedule_sync(*, job: Job) -> None:
    """Make, change or remove the schedule entry of a saved ``job``."""
    entry = job.periodic_task
    if job.schedule_type == ScheduleType.NONE:
        if entry is not None:
            entry.delete()
        return
    entry = entry or PeriodicTask(name=f"netraven job {job.pk}", task=_TASK_NAME, queue="control")
    entry.args = json.dumps([job.pk])
    entry.enabled = job.is_enabled
    for field in _SCHEDULE_FIELDS:
        setattr(entry, field, None)
    for field, value in _schedule(job).items():
        setattr(entry, field, value)
    entry.save()
    if job.periodic_task_id != entry.pk:
        Job.objects.filter(pk=job.pk).update(periodic_task=entry)
        job.periodic_task = entry


@shared_task(name=_TASK_NAME, ignore_result=True)
def launch_scheduled(job_id: int) -> int | None:
    """Start the run of a scheduled job for this slot; None when there is nothing to start."""
    job = Job.objects.filter(pk=job_id).first()
    if job is None:
        logger.warning("the scheduled job %s does not exist any more", job_id)
        return None
    try:
        with transaction.atomic():
            run = request_run(job=job, trigger=Trigger.SCHEDULE, slot_at=_slot(job))
    except IntegrityError:
        logger.info("job %s has a run for this slot already", job_id)
        return None
    except JobDisabled:
        return None
    return int(run.pk)


def _slot(job: Job) -> datetime | None:
    """The planned time that a firing right now answers; None where any time will do."""
    if job.schedule_type == ScheduleType.CRON:
        return timezone.now().replace(second=0, microsecond=0)
    return job.run_at if job.schedule_type == ScheduleType.ONETIME else None


def _schedule(job: Job) -> dict[str, Any]:
    """The fields of the entry that say when, for the job's kind of schedule."""
    if job.schedule_type == ScheduleType.INTERVAL:
        every = {"every": job.interval_seconds, "period": IntervalSchedule.SECONDS}
        return {"interval": _shared(IntervalSchedule, every), "one_off": False}
    if job.schedule_type == ScheduleType.CRON:
        fields = {**parse_cron(job.cron), "timezone": job.time_zone}
        return {"crontab": _shared(CrontabSchedule, fields), "one_off": False}
    return {"clocked": _shared(ClockedSchedule, {"clocked_time": job.run_at}), "one_off": True}


def _shared(schedule: type[Model], fields: dict[str, Any]) -> Model:
    """The schedule row with ``fields``. Nothing makes such rows unique, so there may be several."""
    rows = schedule._default_manager
    return rows.filter(**fields).first() or rows.create(**fields)
