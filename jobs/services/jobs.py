"""Writing job definitions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from credentials.models import Tag
from jobs.choices import ScheduleType
from jobs.models import Job
from jobs.selectors.clock import database_now


@transaction.atomic
def job_save(*, job: Job, tags: Iterable[Tag] | None = None) -> Job:
    """Validate and save ``job``; None leaves its tags as they are. Raises ValidationError.

    The schedule is kept in step by ``jobs.schedules.job_save_scheduled``, which calls this.
    """
    stored = Job.objects.select_for_update(no_key=True).filter(pk=job.pk).first()
    # Whatever ``job`` was loaded with: its entry may have been made since.
    job.periodic_task = None if stored is None else stored.periodic_task
    job.full_clean()
    job.scheduled_since = _scheduled_since(job, stored)
    job.save()
    if tags is not None:
        job.tags.set(tags)
    return job


def _scheduled_since(job: Job, stored: Job | None) -> datetime | None:
    """From when on ``job`` has planned times; None for one that does not start by itself.

    Stays as stored while the planned times do: runs have been started since.
    """
    promise = _promise(job)
    if promise is None:
        return None
    if stored is not None and stored.scheduled_since and _promise(stored) == promise:
        return stored.scheduled_since
    return database_now().replace(microsecond=0)


def _promise(job: Job) -> tuple[object, ...] | None:
    """What decides on the planned times; None when there are none."""
    if not job.is_enabled:
        return None
    kinds: dict[str, tuple[object, ...]] = {
        ScheduleType.INTERVAL: (job.schedule_type, job.interval_seconds),
        ScheduleType.CRON: (job.schedule_type, job.cron, job.time_zone),
        ScheduleType.ONETIME: (job.schedule_type, job.run_at),
    }
    return kinds.get(job.schedule_type)
