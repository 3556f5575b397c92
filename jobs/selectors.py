"""Reading jobs and runs."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Value
from django.db.models.functions import Coalesce

from jobs.models import DeviceResult, Job, JobRun


class JobNotFound(Exception):
    """No job has that name or id. The message says what to do."""


def job_get(*, name_or_id: str) -> Job:
    """The job with this name, in any case, or with this id. Raises JobNotFound."""
    job = Job.objects.filter(name__iexact=name_or_id).first()
    if job is None and name_or_id.isascii() and name_or_id.isdigit() and len(name_or_id) < 10:
        job = Job.objects.filter(pk=int(name_or_id)).first()
    if job is None:
        names = ", ".join(Job.objects.order_by("name").values_list("name", flat=True)[:10])
        known = f"the jobs are: {names}" if names else "there are no jobs yet"
        raise JobNotFound(f"there is no job '{name_or_id}'; {known}")
    return job


def run_progress(*, run_id: int) -> JobRun:
    """The run as it stands now."""
    return JobRun.objects.get(pk=run_id)


def results_summary(*, run: JobRun) -> list[dict[str, Any]]:
    """One entry per device of ``run`` by hostname, as the command line and scripts see it."""
    rows = (
        DeviceResult.objects.filter(run=run)
        .order_by("hostname")
        .annotate(commit_sha=Coalesce(F("snapshot__commit"), Value("")))
        .values(
            "hostname",
            "status",
            "error_category",
            "error_message",
            "attempts",
            "config_changed",
            "commit_sha",
        )
    )
    return [
        {
            "hostname": row["hostname"],
            "status": row["status"],
            "error_category": row["error_category"] or None,
            "error_message": row["error_message"] or None,
            "attempts": row["attempts"],
            "config_changed": row["config_changed"],
            "commit": row["commit_sha"] or None,
        }
        for row in rows
    ]


def run_summary(*, run: JobRun) -> dict[str, Any]:
    """The object that ``run_job --json`` prints."""
    return {
        "run_id": run.pk,
        "status": run.status,
        "duration_seconds": run.duration_seconds,
        "devices": {
            "total": run.total_count,
            "succeeded": run.succeeded_count,
            "failed": run.failed_count,
            "errored": run.errored_count,
            "suspect": run.suspect_count,
            "skipped": run.skipped_count,
        },
        "results": results_summary(run=run),
    }
