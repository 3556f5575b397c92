"""Finding jobs."""

from __future__ import annotations

from common.texts import parsed_id
from jobs.models import Job


class JobNotFound(Exception):
    """No job has that name or id. The message says what to do."""


def job_get(*, name_or_id: str) -> Job:
    """The job with this name, in any case, or with this id. Raises JobNotFound."""
    job = Job.objects.filter(name__iexact=name_or_id).first()
    if job is None and (job_id := parsed_id(name_or_id)) is not None:
        job = Job.objects.filter(pk=job_id).first()
    if job is None:
        names = ", ".join(Job.objects.order_by("name").values_list("name", flat=True)[:10])
        known = f"the jobs are: {names}" if names else "there are no jobs yet"
        raise JobNotFound(f"there is no job '{name_or_id}'; {known}")
    return job
