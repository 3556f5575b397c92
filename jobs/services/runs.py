"""The life of a job run: created, started, ended. Each step wins once, whoever asks twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from backups.engine.errors import ErrorCategory
from inventory.selectors import credential_candidates, devices_with_tags
from jobs.choices import (
    OPEN_RESULT_STATUSES,
    LogLevel,
    ResultStatus,
    RunStatus,
    Trigger,
)
from jobs.models import DeviceResult, Job, JobRun
from jobs.policy import final_status
from jobs.services.breaker import run_count_connections
from jobs.services.logs import job_log

_BATCH = 1000
NO_CREDENTIAL = "no active credential shares a tag with the device; add a tag or a credential"


@transaction.atomic
def run_create(
    *,
    job: Job,
    trigger: Trigger,
    requested_by: User | None = None,
    slot_at: datetime | None = None,
) -> JobRun:
    """A new run of ``job`` with its devices frozen as PENDING results.

    Without devices the run ends at once. Raises IntegrityError when ``slot_at`` was answered by an
    earlier run of the job.
    """
    devices = devices_with_tags(tags=job.tags.all()).order_by("hostname")
    frozen = list(devices.values_list("pk", "hostname"))
    run = JobRun.objects.create(
        job=job,
        job_name=job.name,
        trigger=trigger.value,
        requested_by=requested_by,
        slot_at=slot_at,
        queued_at=timezone.now(),
        deadline_at=timezone.now() + timedelta(seconds=settings.NETRAVEN.run_deadline_seconds),
        total_count=len(frozen),
    )
    DeviceResult.objects.bulk_create(
        (DeviceResult(run=run, device_id=pk, hostname=hostname) for pk, hostname in frozen),
        batch_size=_BATCH,
    )
    job_log(run=run, message=f"run of job '{job.name}' over {len(frozen)} devices was asked for")
    if not frozen:
        _end(
            run,
            RunStatus.COMPLETED_NO_DEVICES,
            "no active device carries a tag of the job",
            was=RunStatus.PENDING,
        )
        run.refresh_from_db()
    return run


@transaction.atomic
def run_start(*, run: JobRun) -> bool:
    """Move ``run`` from PENDING to RUNNING. False when somebody else did, or it has ended."""
    return bool(
        JobRun.objects.filter(pk=run.pk, status=RunStatus.PENDING).update(
            status=RunStatus.RUNNING, started_at=Now()
        )
    )


@transaction.atomic
def run_resolve_credentials(*, run: JobRun) -> None:
    """Give each undecided device of ``run`` its first credential; skip those without any.

    Takes a constant number of queries for each thousand devices. Idempotent: devices that are
    decided, claimed or ended stay as they are.
    """
    undecided = (
        run.results.select_for_update(of=("self",))
        .filter(status=ResultStatus.PENDING, attempts=0, credential=None)
        .order_by("pk")
    )
    total = skipped = 0
    while results := list(undecided[:_BATCH]):
        total += len(results)
        skipped += _decide_credentials(results)
    if not total:
        return
    job_log(
        run=run,
        message=f"credentials: {total - skipped} of {total} devices have one",
        level=LogLevel.WARNING if skipped else LogLevel.INFO,
    )


def _decide_credentials(results: Sequence[DeviceResult]) -> int:
    """Give each of ``results`` its credential or skip it; gives how many were skipped."""
    device_ids = [result.device_id for result in results if result.device_id is not None]
    candidates = credential_candidates(device_ids=device_ids)
    found = {pk: choices[0].credential for pk, choices in candidates.items() if choices}
    decided = [result for result in results if result.device_id in found]
    for result in decided:
        assert result.device_id is not None  # by the line before
        result.credential = found[result.device_id]
    DeviceResult.objects.bulk_update(decided, ["credential"])
    without = [result.pk for result in results if result.device_id not in found]
    DeviceResult.objects.filter(pk__in=without).update(
        status=ResultStatus.SKIPPED,
        error_category=ErrorCategory.NO_CREDENTIAL,
        error_message=NO_CREDENTIAL,
        finished_at=Now(),
    )
    return len(without)


@transaction.atomic
def run_take_wave(*, run: JobRun) -> list[DeviceResult]:
    """The next devices to send messages for, marked as sent; empty when enough are under way.

    Of each zone at most two waves are under way at once, so that neither a slow device nor a zone
    without workers holds the others up. Safe to call from many processes: each device is given out
    once.
    """
    if not JobRun.objects.select_for_update().filter(pk=run.pk, status=RunStatus.RUNNING).exists():
        return []
    size = settings.NETRAVEN.wave_size
    waiting = run.results.filter(status=ResultStatus.PENDING, queued_at=None)
    for zone_id in _zones_with_enough(run, size):
        waiting = waiting.exclude(device__zone=zone_id)
    wave = list(waiting.select_related("device__zone").order_by("pk")[:size])
    run.results.filter(pk__in=[result.pk for result in wave]).update(queued_at=Now())
    return wave


@transaction.atomic
def run_finalise(*, run: JobRun) -> bool:
    """End ``run`` when all its devices have ended. True only for the call that ended it.

    Counts rows, never the results of a chord, and may be called at any time by anybody.
    """
    if _open_results(run).exists():
        return False
    counts = result_counts(run=run)
    if counts and set(counts) == {ResultStatus.SKIPPED} and _all_without_credential(run):
        return _end(run, RunStatus.COMPLETED_NO_CREDENTIALS, NO_CREDENTIAL, counts=counts)
    if not _end(run, final_status(counts), "", counts=counts):
        return False
    run_count_connections(run=run)
    return True


@transaction.atomic
def run_fail(*, run: JobRun, status: RunStatus, reason: str) -> bool:
    """End an open ``run`` for a reason of our own; its open devices become ERRORED.

    False when it had ended already.
    """
    locked = JobRun.objects.select_for_update().get(pk=run.pk)
    if locked.status not in {RunStatus.PENDING, RunStatus.RUNNING}:
        return False
    _error_open_results(run, ErrorCategory.UNEXPECTED, reason)
    return _end(run, status, reason, counts=result_counts(run=run), was=RunStatus(locked.status))


@transaction.atomic
def run_expire(*, run: JobRun) -> bool:
    """End a run that is past its deadline: open devices become ERRORED, the rest counts."""
    reason = "the run reached its deadline before this device was done"
    _error_open_results(run, ErrorCategory.RUN_DEADLINE, reason)
    JobRun.objects.filter(pk=run.pk, status=RunStatus.PENDING).update(
        status=RunStatus.RUNNING, started_at=Now()
    )
    job_log(run=run, message="the run reached its deadline", level=LogLevel.ERROR)
    return run_finalise(run=run)


def result_counts(*, run: JobRun) -> Counter[ResultStatus]:
    """How many devices of ``run`` stand at which status."""
    rows = run.results.order_by().values_list("status").annotate(Count("pk"))
    return Counter({ResultStatus(status): count for status, count in rows})


def _open_results(run: JobRun) -> QuerySet[DeviceResult]:
    return run.results.filter(status__in=OPEN_RESULT_STATUSES)


def _zones_with_enough(run: JobRun, size: int) -> list[int | None]:
    """Zones, None for devices without one, with more than ``size`` devices of ``run`` under way."""
    under_way = _open_results(run).filter(queued_at__isnull=False).order_by()
    counts = under_way.values_list("device__zone").annotate(Count("pk"))
    return [zone_id for zone_id, count in counts if count > size]


def _all_without_credential(run: JobRun) -> bool:
    return not run.results.exclude(error_category=ErrorCategory.NO_CREDENTIAL).exists()


def _error_open_results(run: JobRun, category: ErrorCategory, reason: str) -> None:
    _open_results(run).update(
        status=ResultStatus.ERRORED,
        error_category=category.value,
        error_message=reason[:500],
        finished_at=Now(),
        lease_until=None,
    )


def _end(
    run: JobRun,
    status: RunStatus,
    reason: str,
    *,
    counts: Counter[ResultStatus] | None = None,
    was: RunStatus = RunStatus.RUNNING,
) -> bool:
    counts = counts or Counter()
    ended = JobRun.objects.filter(pk=run.pk, status=was).update(
        status=status,
        status_reason=reason[:500],
        finished_at=Now(),
        succeeded_count=counts[ResultStatus.SUCCEEDED],
        failed_count=counts[ResultStatus.FAILED],
        errored_count=counts[ResultStatus.ERRORED],
        suspect_count=counts[ResultStatus.SUSPECT],
        skipped_count=counts[ResultStatus.SKIPPED],
        cancelled_count=counts[ResultStatus.CANCELLED],
    )
    if ended:
        summary = ", ".join(f"{count} {name.lower()}" for name, count in sorted(counts.items()))
        job_log(
            run=run,
            message=f"the run ended as {status}"
            + (f": {reason or summary}" if reason or summary else ""),
            level=LogLevel.INFO if status == RunStatus.COMPLETED_SUCCESS else LogLevel.WARNING,
        )
    return bool(ended)
