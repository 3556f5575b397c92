"""The life of a job run: started, sent, finalised. Each step wins once, whoever asks twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from backups.engine.errors import ErrorCategory
from inventory.resolution import credential_candidates
from jobs.choices import OPEN_RESULT_STATUSES, OPEN_RUN_STATUSES, LogLevel, ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun
from jobs.policy import final_status
from jobs.policy.transitions import RUN_FINALISE, RUN_START, Move
from jobs.services.breaker import run_count_connections, run_skip_broken
from jobs.services.fallback import run_remember_credentials
from jobs.services.limits import results_limit
from jobs.services.logs import job_log

_BATCH = 1000
DEVICE_DELETED = "the device was deleted during the run"
_RESOLVED = ["credential", "status", "error_category", "error_message", "finished_at"]
NO_CREDENTIAL = "no active credential fits the device; add a tag or a credential"

_CHOOSE = """
    UPDATE jobs_deviceresult SET credential_id = chosen.credential_id
    FROM unnest(%s::bigint[], %s::bigint[]) AS chosen (result_id, credential_id)
    WHERE jobs_deviceresult.id = chosen.result_id
"""


@transaction.atomic
def run_start(*, run: JobRun) -> bool:
    """Move ``run`` from PENDING to RUNNING. False when somebody else did, or it has ended.

    What it leaves out is left out from its first moment: others go on with it right after that.
    """
    started = JobRun.objects.filter(pk=run.pk, status__in=RUN_START.sources).update(
        status=RunStatus.RUNNING, started_at=Now()
    )
    if started:
        run_skip_broken(run=run)
    return bool(started)


@transaction.atomic
def runs_take_forgotten(*, limit: int) -> list[int]:
    """Ids of runs that no worker has started for too long, marked as asked for again."""
    ttl = timedelta(seconds=settings.NETRAVEN.message_ttl_seconds)
    forgotten = JobRun.objects.select_for_update(skip_locked=True, no_key=True).filter(
        status__in=RUN_START.sources, queued_at__lt=Now() - ttl
    )
    ids = list(forgotten.values_list("pk", flat=True)[:limit])
    JobRun.objects.filter(pk__in=ids).update(queued_at=Now())
    return ids


@transaction.atomic
def run_resolve_credentials(*, run: JobRun) -> None:
    """Give each undecided device of ``run`` its first credential; skip those without any.

    Takes a constant number of queries for each thousand devices. Idempotent: devices that are
    decided, claimed or ended stay as they are, and so do those of a run that has ended.
    """
    if not run_lock(run=run, statuses=OPEN_RUN_STATUSES):
        return
    undecided = (
        run.results.select_for_update(of=("self",))
        .filter(status=ResultStatus.PENDING, attempts=0, credential=None)
        # Without one of the columns that are written, each row would be read again for it.
        .only("pk", "run", "device", *_RESOLVED)
        .order_by("pk")
    )
    total, resolved = 0, list[DeviceResult]()
    while results := list(undecided[:_BATCH]):
        total += len(results)
        resolved += _decide_credentials(results)
    if not total:
        return
    results_limit(run=run, results=resolved)
    job_log(
        run=run,
        # A number behind "credentials:" would be taken for a secret.
        message=f"resolved the credentials of {len(resolved)} of {total} devices",
        level=LogLevel.WARNING if len(resolved) < total else LogLevel.INFO,
    )


def _decide_credentials(results: Sequence[DeviceResult]) -> list[DeviceResult]:
    """Give each of ``results`` its credential or skip it; gives those that have one."""
    device_ids = [result.device_id for result in results if result.device_id is not None]
    candidates = credential_candidates(device_ids=device_ids)
    found = {pk: choices[0].credential for pk, choices in candidates.items() if choices}
    decided = [result for result in results if result.device_id in found]
    for result in decided:
        assert result.device_id is not None  # by the line before
        result.credential = found[result.device_id]
    _write_credentials(decided)
    without = [result for result in results if result.device_id not in found]
    if without:
        _skip(without)
    return decided


def _write_credentials(results: Sequence[DeviceResult]) -> None:
    """One update for all; ``bulk_update`` has PostgreSQL go through a CASE for each row."""
    with connection.cursor() as cursor:
        cursor.execute(
            _CHOOSE, [[one.pk for one in results], [one.credential_id for one in results]]
        )


def _skip(results: Sequence[DeviceResult]) -> None:
    rows = DeviceResult.objects.filter(pk__in=[result.pk for result in results])
    rows.update(
        status=ResultStatus.SKIPPED,
        error_category=ErrorCategory.NO_CREDENTIAL,
        error_message=NO_CREDENTIAL,
        finished_at=Now(),
    )
    rows.filter(device=None).update(error_category="", error_message=DEVICE_DELETED)


@transaction.atomic
def run_take_wave(*, run: JobRun) -> list[DeviceResult]:
    """The next devices to send messages for, marked as sent; empty when enough are under way.

    Of each zone at most two waves are under way at once, so that neither a slow device nor a zone
    without workers holds the others up. Parked devices are in no wave. Safe to call from many
    processes: each device is given out once.
    """
    if not run_lock(run=run, statuses=frozenset({RunStatus.RUNNING})):
        return []
    size = settings.NETRAVEN.wave_size
    waiting = run.results.filter(status=ResultStatus.PENDING, queued_at=None, parked_at=None)
    for zone_id in _zones_with_enough(run, size):
        waiting = waiting.exclude(device__zone=zone_id)
    # Locked in one order: others lock several rows at once as well.
    rows = waiting.select_for_update(of=("self",)).select_related("device__zone").order_by("pk")
    wave = list(rows[:size])
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
        status = RunStatus.COMPLETED_NO_CREDENTIALS
        return run_end(
            run=run, move=RUN_FINALISE, status=status, reason=NO_CREDENTIAL, counts=counts
        )
    status = final_status(counts)
    if not run_end(run=run, move=RUN_FINALISE, status=status, reason="", counts=counts):
        return False
    run_count_connections(run=run)
    return True


def result_counts(*, run: JobRun) -> Counter[ResultStatus]:
    """How many devices of ``run`` stand at which status."""
    rows = run.results.order_by().values_list("status").annotate(Count("pk"))
    return Counter({ResultStatus(status): count for status, count in rows})


def run_lock(*, run: JobRun, statuses: frozenset[RunStatus]) -> bool:
    """Whether ``run`` is in one of ``statuses``; locks it until the end of the transaction.

    Not its key: whoever holds a device of the run writes log lines that refer to it.
    """
    runs = JobRun.objects.select_for_update(no_key=True).filter(pk=run.pk, status__in=statuses)
    return runs.first() is not None


def _zones_with_enough(run: JobRun, size: int) -> list[int | None]:
    """Zones, None for devices without one, with more than ``size`` devices of ``run`` under way."""
    # Devices that were parked came by themselves, and go on by themselves.
    in_waves = _open_results(run).filter(queued_at__isnull=False, parked_reason="").order_by()
    counts = in_waves.values_list("device__zone").annotate(Count("pk"))
    return [zone_id for zone_id, count in counts if count > size]


def run_end(
    *,
    run: JobRun,
    move: Move[RunStatus],
    status: RunStatus,
    reason: str,
    counts: Counter[ResultStatus],
) -> bool:
    """Give ``run`` its final ``status`` by ``move``, with the counts of its devices.

    False when it had ended already. No device may be open.
    """
    ended = JobRun.objects.filter(pk=run.pk, status__in=move.sources).update(
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
        run_remember_credentials(run=run)
        summary = ", ".join(f"{count} {name.lower()}" for name, count in sorted(counts.items()))
        job_log(
            run=run,
            message=f"the run ended as {status}"
            + (f": {reason or summary}" if reason or summary else ""),
            level=LogLevel.INFO if status == RunStatus.COMPLETED_SUCCESS else LogLevel.WARNING,
        )
    return bool(ended)


def _open_results(run: JobRun) -> QuerySet[DeviceResult]:
    return run.results.filter(status__in=OPEN_RESULT_STATUSES)


def _all_without_credential(run: JobRun) -> bool:
    return not run.results.exclude(error_category=ErrorCategory.NO_CREDENTIAL).exists()
