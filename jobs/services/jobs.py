"""Writing job definitions."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from credentials.models import Tag
from jobs.models import Job


@transaction.atomic
def job_save(*, job: Job, tags: Iterable[Tag] | None = None) -> Job:
    """Validate and save ``job``; None leaves its tags as they are. Raises ValidationError.

    The schedule is kept in step by ``jobs.schedules.job_save_scheduled``, which calls this.
    """
    job.full_clean()
    job.save()
    if tags is not None:
        job.tags.set(tags)
    return job
