"""Makes runs: a job's devices are frozen as one PENDING result each.

Whether an earlier run is in the way is asked under a lock on the job, so that of two callers at
once one is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from inventory.models import Device
from inventory.selectors import devices_with_tags
from inventory.visibility import scope_of
from jobs.choices import OPEN_RUN_STATUSES, LogLevel, RunStatus, Trigger
from jobs.models import DeviceResult, Job, JobRun
from jobs.policy.transitions import RETRYABLE_STATUSES, RUN_CANCEL, RUN_FIND_NOTHING, Move
from jobs.selectors.visibility import results_in
from jobs.services.logs import job_log
from jobs.services.runs import run_end

_BATCH = 1000
#: In place of the name of a job.
ON_DEMAND = "backup on demand"


class NothingToRetry(Exception):
    """No device of a run can be tried again; the message says why and what to do."""


class NothingToBackUp(Exception):
    """No device that was chosen can be backed up; the message says why and what to do."""


class JobBusy(Exception):
    """An earlier run of the job is still open; the message names it and says what to do."""


@transaction.atomic
def run_create(
    *,
    job: Job,
    trigger: Trigger,
    requested_by: User | None = None,
    slot_at: datetime | None = None,
) -> JobRun:
    """A new run of ``job`` with its devices frozen as PENDING results.

    Of a user who is limited to some tags it has the devices that they see. Without devices the run
    ends at once. While an earlier run of the job is open and the job does
    not allow that, a scheduled run is recorded as CANCELLED and any other raises JobBusy. Raises
    IntegrityError when ``slot_at`` was answered by an earlier run of the job.
    """
    busy = _open_run_in_the_way(job)
    if busy is not None and trigger != Trigger.SCHEDULE:
        raise JobBusy(_busy_because(busy))
    run = JobRun(
        job=job,
        job_name=job.name,
        trigger=trigger.value,
        requested_by=requested_by,
        slot_at=slot_at,
        starts_per_second=job.starts_per_second or settings.NETRAVEN.starts_per_second,
    )
    if busy is not None:
        reason = f"run {busy.pk} of the same job was still open at this time"
        return _run_store_ended(run, RUN_CANCEL, RunStatus.CANCELLED, reason)
    selected = devices_with_tags(tags=job.tags.all())
    scope = None if requested_by is None else scope_of(user=requested_by)
    if scope is not None:
        selected = selected.filter(pk__in=scope.values("pk"))
    devices = list(selected.order_by("hostname").only("hostname"))
    if not devices:
        reason = "no active device carries a tag of the job"
        return _run_store_ended(run, RUN_FIND_NOTHING, RunStatus.COMPLETED_NO_DEVICES, reason)
    return run_store(run=run, devices=devices)


@transaction.atomic
def run_create_over(
    *, devices: QuerySet[Device], trigger: Trigger, requested_by: User | None
) -> JobRun:
    """A run of no job over the active ones of ``devices`` that ``requested_by`` sees.

    Raises NothingToBackUp.
    """
    chosen = Device.objects.filter(pk__in=devices.order_by().values("pk"), is_active=True)
    scope = None if requested_by is None else scope_of(user=requested_by)
    if scope is not None:
        chosen = chosen.filter(pk__in=scope.values("pk"))
    found = list(chosen.order_by("hostname").only("hostname"))
    if not found:
        raise NothingToBackUp("no active device was chosen; choose at least one that is active")
    run = JobRun(
        job_name=ON_DEMAND,
        trigger=trigger.value,
        requested_by=requested_by,
        starts_per_second=settings.NETRAVEN.starts_per_second,
    )
    return run_store(run=run, devices=found)


@transaction.atomic
def run_create_retry(
    *,
    run: JobRun,
    trigger: Trigger,
    requested_by: User | None = None,
    only: Collection[int] | None = None,
) -> JobRun:
    """A new run over the devices that were not backed up in ``run``, or over ``only`` some of them.

    ``only`` are ids of device results. Raises NothingToRetry, and JobBusy as ``run_create`` does.
    """
    scope = None if requested_by is None else scope_of(user=requested_by)
    devices, left_out = _devices_to_retry(run, only, scope)
    busy = None if run.job is None else _open_run_in_the_way(run.job)
    if busy is not None:
        raise JobBusy(_busy_because(busy))
    retry = JobRun(
        job=run.job,
        job_name=run.job_name,
        trigger=trigger.value,
        requested_by=requested_by,
        retry_of=run,
        starts_per_second=run.starts_per_second,
    )
    run_store(run=retry, devices=devices)
    if left_out:
        job_log(
            run=retry,
            level=LogLevel.WARNING,
            message=f"left out, because deleted or inactive since: {', '.join(left_out)}",
        )
    return retry


def _devices_to_retry(
    run: JobRun, only: Collection[int] | None, scope: QuerySet[Device] | None
) -> tuple[list[Device], list[str]]:
    """The devices of ``run`` to try again, and the hostnames of those that are gone."""
    if JobRun.objects.filter(pk=run.pk, status__in=OPEN_RUN_STATUSES).exists():
        raise NothingToRetry(f"run {run.pk} has not ended; wait for its end, or cancel it")
    results_seen = results_in(run=run, scope=scope)
    failed = results_seen.filter(status__in=RETRYABLE_STATUSES).select_related("device")
    results = list(failed if only is None else failed.filter(pk__in=only))
    strangers = set(only or ()) - {result.pk for result in results}
    if strangers:
        named = ", ".join(str(pk) for pk in sorted(strangers)[:10])
        raise NothingToRetry(
            f"these are not results of failed devices of run {run.pk}: {named}; choose among those "
            "that are FAILED, ERRORED or SUSPECT"
        )
    devices = [result.device for result in results if result.device and result.device.is_active]
    if devices:
        kept = {device.pk for device in devices}
        return devices, [row.hostname for row in results if row.device_id not in kept]
    if results:
        raise NothingToRetry(
            f"every failed device of run {run.pk} was deleted or made inactive since; run the job "
            "instead"
        )
    raise NothingToRetry(f"no device of run {run.pk} has failed; there is nothing to try again")


def _open_run_in_the_way(job: Job) -> JobRun | None:
    """The open run that keeps ``job`` from starting; until the transaction ends none can come."""
    locked = Job.objects.select_for_update(no_key=True).get(pk=job.pk)
    if locked.allow_overlap:
        return None
    return JobRun.objects.filter(job=job, status__in=OPEN_RUN_STATUSES).first()


def _busy_because(run: JobRun) -> str:
    return (
        f"run {run.pk} of job '{run.job_name}' is still {run.status}; wait for its end, cancel it, "
        "or allow the job to overlap"
    )


def _run_store_ended(run: JobRun, move: Move[RunStatus], status: RunStatus, reason: str) -> JobRun:
    """Store ``run`` as one that has ended before it began."""
    run_store(run=run, devices=())
    run_end(run=run, move=move, status=status, reason=reason, counts=Counter())
    run.refresh_from_db()
    return run


def run_store(
    *, run: JobRun, devices: Sequence[Device], changed_by: Mapping[int, str] | None = None
) -> JobRun:
    """Store ``run`` with its ``devices`` as PENDING results; in a transaction of the caller.

    ``changed_by`` says by the id of a device who has changed it, where that is known.
    """
    named = changed_by or {}
    run.queued_at = Now()
    run.deadline_at = Now() + timedelta(seconds=settings.NETRAVEN.run_deadline_seconds)
    run.total_count = len(devices)
    run.save(force_insert=True)
    run.refresh_from_db(fields=["queued_at", "deadline_at"])
    DeviceResult.objects.bulk_create(
        (
            DeviceResult(
                run=run,
                device=device,
                hostname=device.hostname,
                changed_by=named.get(device.pk, ""),
            )
            for device in devices
        ),
        batch_size=_BATCH,
    )
    again = f" again what failed in run {run.retry_of_id}" if run.retry_of_id else ""
    job_log(
        run=run,
        message=f"{_what(run)} over {len(devices)} devices was asked for{again}",
    )
    return run


def _what(run: JobRun) -> str:
    return ON_DEMAND if run.job_name == ON_DEMAND else f"run of job '{run.job_name}'"
