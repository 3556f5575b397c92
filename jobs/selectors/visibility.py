"""Which jobs and runs a user sees, and which of them they may change.

A limited user sees the jobs and runs that concern a device of theirs, and of a run only its devices
of theirs: counts and reports are about those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from inventory.models import Device
from inventory.visibility import User, is_limited, limit_of, scope_of
from jobs.choices import ResultStatus
from jobs.models import DeviceResult, Job, JobRun

#: The counts of a run by column; None counts every device.
_COUNTS: Mapping[str, ResultStatus | None] = {
    "total_count": None,
    "succeeded_count": ResultStatus.SUCCEEDED,
    "failed_count": ResultStatus.FAILED,
    "errored_count": ResultStatus.ERRORED,
    "suspect_count": ResultStatus.SUSPECT,
    "skipped_count": ResultStatus.SKIPPED,
    "cancelled_count": ResultStatus.CANCELLED,
}
_PREFIX = "seen_"
#: Columns of a run that a limited user is not shown as they are stored.
WHOLE_RUN_COLUMNS = (*_COUNTS, "status_reason")


def jobs_visible_to(*, user: User) -> QuerySet[Job]:
    """The jobs that carry a tag of the user's limit, or select a device that they see."""
    scope, limit = scope_of(user=user), limit_of(user=user)
    if scope is None or limit is None:
        return Job.objects.all()
    of_devices = Device.tags.through.objects.filter(device__in=scope).values("tag_id")
    carried = Job.tags.through.objects.filter(
        Q(tag__in=limit.values("pk")) | Q(tag__in=of_devices), job=OuterRef("pk")
    )
    return Job.objects.filter(Exists(carried))


def may_change_job(*, job: Job, user: User) -> bool:
    """Whether all tags of ``job`` are those of the user's limit, if there is a limit."""
    limit = limit_of(user=user)
    if limit is None:
        return True
    tags = set(job.tags.values_list("pk", flat=True))
    return bool(tags) and tags <= set(limit.values_list("pk", flat=True))


def runs_visible_to(*, user: User) -> QuerySet[JobRun]:
    """The runs with a device that ``user`` sees; ``as_seen`` gives them the counts of those."""
    scope = scope_of(user=user)
    if scope is None:
        return JobRun.objects.all()
    seen = DeviceResult.objects.filter(device__in=scope)
    counts: dict[str, Any] = {}
    for column, status in _COUNTS.items():
        wanted = Q(results__device__in=scope)
        if status is not None:
            wanted &= Q(results__status=status)
        counts[f"{_PREFIX}{column}"] = Count("results", filter=wanted)
    runs = JobRun.objects.filter(Exists(seen.filter(run=OuterRef("pk")))).annotate(**counts)
    return runs.order_by("-pk")  # with counts Django forgets the order of the model


def shown_column(*, name: str, user: User) -> str:
    """The column of ``runs_visible_to`` that has what ``user`` is shown as the column ``name``."""
    return f"{_PREFIX}{name}" if name in _COUNTS and is_limited(user=user) else name


def as_seen(run: JobRun) -> JobRun:
    """A row of ``runs_visible_to``, to be shown: a limited user's counts, no word on the others.

    The row is not to be saved.
    """
    if hasattr(run, f"{_PREFIX}total_count"):
        for column in _COUNTS:
            setattr(run, column, getattr(run, f"{_PREFIX}{column}"))
        run.status_reason = ""
    return run


def sees_whole_run(*, run: JobRun, user: User) -> bool:
    """Whether ``user`` sees every device of ``run``."""
    scope = scope_of(user=user)
    return scope is None or not run.results.exclude(device__in=scope).exists()


def results_in(*, run: JobRun, scope: QuerySet[Device] | None) -> QuerySet[DeviceResult]:
    """The devices of ``run`` that are in ``scope`` (None = all of them)."""
    results = run.results.all()
    return results if scope is None else results.filter(device__in=scope)
