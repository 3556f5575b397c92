"""Reading runs."""

from __future__ import annotations

from typing import Any, TypedDict

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Now
from django_stubs_ext import WithAnnotations

from common.texts import parsed_id
from jobs.choices import OPEN_RESULT_STATUSES, OPEN_RUN_STATUSES, ResultStatus
from jobs.models import DeviceResult, JobRun


class Lateness(TypedDict):
    """What the query adds to a run."""

    is_late: bool


class RunNotFound(Exception):
    """No run has that id. The message says what to do."""


def run_get(*, run_id: str) -> JobRun:
    """The run with this id, as it was typed. Raises RunNotFound."""
    number = parsed_id(run_id)
    run = JobRun.objects.select_related("job").filter(pk=number).first() if number else None
    if run is None:
        newest = JobRun.objects.first()
        known = f"the newest is {newest.pk}" if newest else "there are no runs yet"
        raise RunNotFound(f"there is no run '{run_id}'; {known}")
    return run


def run_progress(*, run_id: int) -> JobRun:
    """The run as it stands now."""
    return JobRun.objects.get(pk=run_id)


def runs_open() -> QuerySet[WithAnnotations[JobRun, Lateness]]:
    """The runs that have not ended, each with ``is_late``: past its deadline."""
    is_late = ExpressionWrapper(Q(deadline_at__lt=Now()), output_field=BooleanField())
    return JobRun.objects.filter(status__in=OPEN_RUN_STATUSES).annotate(is_late=is_late)


def run_is_stalled(*, run: JobRun) -> bool:
    """Nothing of the run is under way, or there is room for devices that were not sent yet.

    The bodies of two chords that hold a device nobody reads would send the rest never.
    """
    return (
        run.results.filter(status=ResultStatus.PENDING, queued_at=None, parked_at=None).exists()
        or not run.results.filter(status__in=OPEN_RESULT_STATUSES, queued_at__isnull=False).exists()
    )


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
