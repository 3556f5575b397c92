"""The life of one device in a run: claimed, recorded, given back. Each write carries its claim."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

import psycopg
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Coalesce, Extract, Now

from backups.engine.errors import DeviceError, ErrorCategory
from backups.models import Snapshot
from common.statements import Statement, Update
from credentials.models import Credential
from jobs.choices import LogLevel, ResultStatus, RunStatus
from jobs.models import DeviceResult
from jobs.policy import MAX_LOSSES
from jobs.policy.transitions import RESULT_LOSE
from jobs.services.claims import Claim, claim_standing, claims_standing, result_claimable
from jobs.services.limits import results_limit
from jobs.services.logs import job_log, safe_message
from jobs.services.parking import result_admit, result_park_for_device
from jobs.services.sessions import outlasts_database

#: What most devices are at their first claim: nothing has to be asked about them.
_UNLIMITED = Q(status=ResultStatus.PENDING, attempts=0, parked_at=None, limit_keys=[])
#: From the first attempt to now, waits between attempts included.
SINCE_START = ExpressionWrapper(Now() - F("started_at"), output_field=DurationField())


@outlasts_database
def result_claim(*, result_id: int) -> DeviceResult | None:
    """Take the row for one attempt, or None when it is not to be had.

    It is to be had in a running run while it is PENDING, or RETRYING and due. One conditional
    update raises the token and sets the lease by the database's clock; the row comes back as that
    update left it. A device that has to wait for room, or that another run reads, is parked.
    """
    try:
        with transaction.atomic():
            if _TAKE_UNLIMITED.run(result_id=result_id, lease=_lease()):
                return _taken(result_id)
        with transaction.atomic():
            if result_admit(result_id=result_id) and _take(result_id):
                return _taken(result_id)
    except IntegrityError as error:
        if not _is_read_elsewhere(error):
            raise
        result_park_for_device(result_id=result_id)
    return None


def _take(result_id: int) -> bool:
    return bool(result_claimable(result_id=result_id).update(**_claimed(_lease())))


def _claimed(lease: timedelta) -> dict[str, object]:
    """What a claim writes into a row."""
    return {
        "status": ResultStatus.RUNNING,
        "attempts": F("attempts") + 1,
        "lease_until": Now() + lease,
        "retry_at": None,
        "parked_at": None,
        "parked_key": "",
        "started_at": Coalesce("started_at", Now()),
    }


def _taken(result_id: int) -> DeviceResult:
    # Still inside the transaction: the row is locked, so this is the token just set.
    taken = _TAKEN.first(result_id=result_id)
    assert taken is not None
    return taken


def _is_read_elsewhere(error: IntegrityError) -> bool:
    """Whether another run has a session with the device: the one constraint that a claim meets."""
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.constraint_name == "result_one_session"


def leases_renew(*, claims: Iterable[Claim]) -> None:
    """Prolong the leases of the claims that this process still works on."""
    _prolong(claims_standing(claims=claims))


def claims_gone(*, claims: Collection[Claim]) -> frozenset[Claim]:
    """Which of ``claims`` do not stand any more: ended, lost, or of a run that was cancelled."""
    standing = DeviceResult.objects.filter(
        pk__in=[claim.result_id for claim in claims], status=ResultStatus.RUNNING
    ).values_list("pk", "attempts")
    return frozenset(claims) - {Claim(*row) for row in standing}


def claim_holds(*, claim: Claim) -> bool:
    """Whether ``claim`` still stands; locks the row until the end of the transaction."""
    return bool(_STANDING.all(result_id=claim.result_id, attempt=claim.attempt))


def result_succeed(*, claim: Claim, snapshot: Snapshot, changed: bool) -> bool:
    """Record a backup whose configuration stands in Git. False when the claim is gone."""
    succeed = _SUCCEED[changed]
    return bool(
        succeed.run(result_id=claim.result_id, attempt=claim.attempt, snapshot_id=snapshot.pk)
    )


def result_hand_over(*, claim: Claim, snapshot: Snapshot) -> bool:
    """Leave the rest to the ``git`` queue: ``snapshot`` is stored and waits for its commit.

    The row stays RUNNING and ``claim`` holds; whoever commits records by it. The lease says until
    when that is expected. False when the claim is gone.
    """
    return bool(claim_standing(claim=claim).update(snapshot=snapshot, lease_until=_lease_end()))


def results_handed_over() -> QuerySet[DeviceResult]:
    """The rows that wait for their commit, in the order of their devices in runs."""
    return DeviceResult.objects.filter(
        status=ResultStatus.RUNNING, snapshot__isnull=False
    ).order_by("pk")


def result_take_back(*, claim: Claim) -> None:
    """Undo a hand-over: the commit failed, and the device is tried again or given up."""
    claim_standing(claim=claim).update(snapshot=None)


def results_take_uncommitted() -> int:
    """Prolong hand-overs that nobody has answered within a lease; how many there are."""
    overdue = results_handed_over().order_by().filter(lease_until__lt=Now())
    return overdue.update(lease_until=_lease_end())


def result_suspect(*, claim: Claim, reasons: Sequence[str]) -> bool:
    """Record an output that is not trusted. False when the claim is gone."""
    return _finish(
        claim,
        status=ResultStatus.SUSPECT,
        error_category=ErrorCategory.INCOMPLETE_OUTPUT.value,
        error_message=_cut("; ".join(reasons)),
    )


def result_fail(
    *, claim: Claim, status: ResultStatus, category: ErrorCategory, message: str
) -> bool:
    """Record that the device could not be backed up. False when the claim is gone."""
    return _finish(claim, status=status, error_category=category.value, error_message=_cut(message))


def result_skip(*, claim: Claim, reason: str) -> bool:
    """Record that there was nothing to read. False when the claim is gone."""
    return _finish(claim, status=ResultStatus.SKIPPED, error_message=_cut(reason))


def result_retry(
    *, claim: Claim, category: ErrorCategory, message: str, delay_seconds: float
) -> bool:
    """Record a failure that is tried again after a delay. False when the claim is gone."""
    return bool(
        claim_standing(claim=claim).update(
            status=ResultStatus.RETRYING,
            error_category=category.value,
            error_message=_cut(message),
            lease_until=None,
            retry_at=Now() + timedelta(seconds=delay_seconds),
        )
    )


@transaction.atomic
def result_fall_back(*, claim: Claim, failure: DeviceError, credential: Credential) -> bool:
    """Record a refusal after which ``credential`` is tried at once. False when the claim is gone.

    The limits of the next session are those of the next credential.
    """
    result = claim_standing(claim=claim).select_related("run").first()
    if result is None:
        return False
    result_retry(claim=claim, category=failure.category, message=failure.message, delay_seconds=0)
    result.credential = credential
    DeviceResult.objects.filter(pk=result.pk).update(credential=credential, limit_keys=[])
    results_limit(run=result.run, results=[result], is_fallback=True)
    return True


def results_take_expired(*, limit: int) -> list[DeviceResult]:
    """Rows whose worker died: back to PENDING to be sent again, or ERRORED at the third loss.

    Gives those that are to be sent again.
    """
    with transaction.atomic():
        expired = list(
            DeviceResult.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("device__zone")
            # One that was handed over has been read: no worker has to be alive for it.
            .filter(status__in=RESULT_LOSE.sources, lease_until__lt=Now(), snapshot=None)[:limit]
        )
        return [result for result in expired if _return_lost(result)]


def leases_extend_all() -> None:
    """Give every running device one more lease, after nobody could renew any for a while."""
    _prolong(DeviceResult.objects.all())


def results_take_unanswered(*, limit: int) -> list[DeviceResult]:
    """Rows whose message seems lost, marked as sent again: nobody claimed them for too long."""
    ttl = timedelta(seconds=settings.NETRAVEN.message_ttl_seconds)
    with transaction.atomic():
        results = list(
            DeviceResult.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("device__zone")
            .filter(
                Q(status=ResultStatus.PENDING, queued_at__lt=Now() - ttl)
                | Q(
                    Q(queued_at=None) | Q(queued_at__lt=Now() - ttl),
                    status=ResultStatus.RETRYING,
                    retry_at__lt=Now() - ttl,
                ),
                run__status=RunStatus.RUNNING,
            )[:limit]
        )
        DeviceResult.objects.filter(pk__in=[result.pk for result in results]).update(
            queued_at=Now()
        )
        return results


def _return_lost(result: DeviceResult) -> bool:
    losses = result.losses + 1
    row = DeviceResult.objects.filter(pk=result.pk)
    if losses >= MAX_LOSSES:
        message = f"the worker that held this device died {losses} times; look at its log"
        row.update(
            status=ResultStatus.ERRORED,
            losses=losses,
            error_category=ErrorCategory.WORKER_LOST.value,
            error_message=message,
            finished_at=Now(),
            lease_until=None,
        )
        job_log(
            run=result.run_id, device_id=result.device_id, level=LogLevel.ERROR, message=message
        )
        return False
    row.update(status=ResultStatus.PENDING, losses=losses, lease_until=None, queued_at=Now())
    job_log(
        run=result.run_id,
        device_id=result.device_id,
        level=LogLevel.WARNING,
        message=f"{result.hostname}: its worker died; the device is read again (loss {losses})",
    )
    return True


def _finish(claim: Claim, **fields: object) -> bool:
    return bool(claim_standing(claim=claim).update(**_finished(**fields)))


def _finished(**fields: object) -> dict[str, object]:
    """What the end of a device writes into its row."""
    return {
        "error_category": "",
        "error_message": "",
        **fields,
        "finished_at": Now(),
        "duration_seconds": Extract(SINCE_START, "epoch"),
        "lease_until": None,
        "retry_at": None,
    }


_TAKE_UNLIMITED = Update(
    lambda result_id, lease: (
        result_claimable(result_id=result_id).filter(_UNLIMITED),
        _claimed(lease),
    ),
    result_id=int,
    lease=timedelta,
)


def _success(changed: bool) -> Update:
    return Update(
        lambda result_id, attempt, snapshot_id: (
            claim_standing(claim=Claim(result_id, attempt)),
            _finished(status=ResultStatus.SUCCEEDED, snapshot=snapshot_id, config_changed=changed),
        ),
        result_id=int,
        attempt=int,
        snapshot_id=int,
    )


_SUCCEED = {changed: _success(changed) for changed in (False, True)}
_TAKEN = Statement(
    lambda result_id: (
        DeviceResult.objects.select_related("run", "device__zone", "credential")
        .filter(pk=result_id)
        .order_by()
    ),
    result_id=int,
)
_STANDING = Statement(
    lambda result_id, attempt: (
        claim_standing(claim=Claim(result_id, attempt)).select_for_update().only("pk").order_by()
    ),
    result_id=int,
    attempt=int,
)


@transaction.atomic
def _prolong(results: QuerySet[DeviceResult]) -> None:
    """Give the RUNNING ones of ``results`` a lease from now on.

    A row that somebody holds is left out: whoever records its end must not keep the others waiting,
    and is not taken for dead while the row is held.
    """
    running = results.select_for_update(skip_locked=True).filter(status=ResultStatus.RUNNING)
    ids = list(running.values_list("pk", flat=True))
    DeviceResult.objects.filter(pk__in=ids).update(lease_until=_lease_end())


def _lease_end() -> object:
    return Now() + _lease()


def _lease() -> timedelta:
    return timedelta(seconds=settings.NETRAVEN.lease_seconds)


def _cut(message: str) -> str:
    length = 500
    text = safe_message(message)
    return text if len(text) <= length else text[: length - 1] + DeviceResult.CUT
