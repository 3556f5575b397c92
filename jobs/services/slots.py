"""Recording what became of planned times."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobs.choices import LogLevel, RunStatus, Trigger
from jobs.models import Job, JobRun
from jobs.services.logs import job_log


def slot_close(*, job: Job, slot_at: datetime) -> None:
    """Note that ``slot_at`` and all planned times of ``job`` before it want nothing more."""
    Job.objects.filter(pk=job.pk).update(scheduled_since=slot_at)
    job.scheduled_since = slot_at


@transaction.atomic
def slot_skip(*, job: Job, slot_at: datetime, reason: str) -> JobRun:
    """Record that the planned time ``slot_at`` passed without a run, as a CANCELLED run.

    Raises IntegrityError when a run of the job answered ``slot_at``.
    """
    run = JobRun.objects.create(
        job=job,
        job_name=job.name,
        status=RunStatus.CANCELLED.value,
        status_reason=reason,
        trigger=Trigger.SCHEDULE.value,
        slot_at=slot_at,
        finished_at=Now(),
        deadline_at=timezone.now() + timedelta(seconds=settings.NETRAVEN.run_deadline_seconds),
    )
    job_log(run=run, message=reason, level=LogLevel.WARNING)
    run.refresh_from_db()
    return run
