"""Deleting logs that are no longer to be kept, and runs that nothing is left of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils import timezone

from backups.models import RetentionPolicy
from backups.selectors.retention import Retention, retention_default, retentions_of
from jobs.choices import FINAL_RUN_STATUSES
from jobs.models import ConnectionLog, JobLog, JobRun

_LOGS_AT_ONCE = 2000
#: With a run go its device results, of which there may be thousands.
_RUNS_AT_ONCE = 20

#: Id, device and time of one line of a log.
_Line = tuple[int, int | None, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedLogs:
    """How many rows were deleted, or would be."""

    job_logs: int = 0
    connection_logs: int = 0
    runs: int = 0


def logs_prune(*, dry_run: bool = False) -> PrunedLogs:
    """Delete lines of logs that are older than the retention of their device.

    A line of no device, or of one that was deleted, has the retention of the configuration. A run
    goes with its device results when that time is over and none of its lines is left; the newest
    run of a job and the one of its newest slot stay. Safe in many processes at once.
    """
    now = timezone.now()
    return PrunedLogs(
        job_logs=_prune(JobLog, now, dry_run),
        connection_logs=_prune(ConnectionLog, now, dry_run),
        runs=_prune_runs(now, dry_run),
    )


def _prune(model: type[JobLog | ConnectionLog], now: datetime, dry_run: bool) -> int:
    pruned = 0
    for lines in _old_lines(model, now):
        ids = _expired(lines, now)
        pruned += len(ids) if dry_run else _delete(model.objects.filter(pk__in=ids))
    return pruned


def _old_lines(model: type[JobLog | ConnectionLog], now: datetime) -> Iterator[Sequence[_Line]]:
    """The lines by id, so many at a time, up to those that are too new for every retention."""
    shortest = _shortest_days()
    if shortest is None:
        return
    last = 0
    rows = model.objects.order_by("pk").values_list("pk", "device_id", "created_at")
    while lines := list(rows.filter(pk__gt=last)[:_LOGS_AT_ONCE]):
        if all(created_at >= now - timedelta(days=shortest) for _, _, created_at in lines):
            return
        yield lines
        last = lines[-1][0]


def _shortest_days() -> int | None:
    days = [
        retention_default().log_days,
        *RetentionPolicy.objects.values_list("log_days", flat=True),
    ]
    return min((each for each in days if each is not None), default=None)


def _expired(lines: Sequence[_Line], now: datetime) -> list[int]:
    devices = {device_id for _, device_id, _ in lines if device_id is not None}
    by_device = retentions_of(device_ids=devices)
    default = retention_default()

    def retention(device_id: int | None) -> Retention:
        return default if device_id is None else by_device[device_id]

    return [
        pk
        for pk, device_id, created_at in lines
        if (days := retention(device_id).log_days) is not None
        and created_at < now - timedelta(days=days)
    ]


def _prune_runs(now: datetime, dry_run: bool) -> int:
    days = retention_default().log_days
    if days is None:
        return 0
    runs = _bare_runs(now - timedelta(days=days))
    if dry_run:
        return runs.count()
    pruned = 0
    ids = list(runs.values_list("pk", flat=True))
    for start in range(0, len(ids), _RUNS_AT_ONCE):
        pruned += _delete(JobRun.objects.filter(pk__in=ids[start : start + _RUNS_AT_ONCE]))
    return pruned


def _bare_runs(before: datetime) -> QuerySet[JobRun]:
    """Ended runs without a line in a log. The newest of a job says when it ran last."""
    of_jobs = JobRun.objects.filter(job__isnull=False).order_by().values("job")
    newest = of_jobs.annotate(newest=Max("pk")).values("newest")
    slots = of_jobs.filter(slot_at__isnull=False).annotate(newest=Max("pk")).values("newest")
    return (
        JobRun.objects.filter(
            status__in=[str(status) for status in FINAL_RUN_STATUSES], finished_at__lt=before
        )
        .exclude(pk__in=newest)
        .exclude(pk__in=slots)
        .exclude(Exists(JobLog.objects.filter(run=OuterRef("pk"))))
        .exclude(Exists(ConnectionLog.objects.filter(run=OuterRef("pk"))))
        .order_by("pk")
    )


@transaction.atomic
def _delete(rows: QuerySet[JobLog] | QuerySet[ConnectionLog] | QuerySet[JobRun]) -> int:
    """Delete ``rows``; what another process has at hand is its own."""
    locked = rows.order_by("pk").select_for_update(of=("self",), skip_locked=True)
    mine = list(locked.values_list("pk", flat=True))
    rows.model.objects.filter(pk__in=mine).delete()
    return len(mine)
