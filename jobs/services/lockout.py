"""The lockout guard of a run: which of its credentials devices take, and which are set aside."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from backups.engine.errors import ErrorCategory
from credentials.models import Credential
from inventory.models import CredentialUse
from jobs.choices import LogLevel, ResultStatus
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.policy.limits import LimitKind, limit_key
from jobs.policy.lockout import (
    ACCEPTED_EVERY,
    goes_on,
    log_ins_allowed,
    refused_at_reason,
    set_aside_reason,
)
from jobs.policy.transitions import RESULT_CLAIM
from jobs.selectors.limits import at_log_in, standings
from jobs.services.claims import Claim, claim_standing
from jobs.services.fallback import next_credentials
from jobs.services.limits import results_limit
from jobs.services.locks import lock_limits
from jobs.services.logs import job_log

_BATCH = 1000
#: A run and one of its credentials, by id.
_Pair = tuple[int, int]


class _Written:
    """When this process last wrote that a run's devices take a credential; so many pairs of it."""

    _SIZE = 1000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[_Pair, float] = {}

    def claim(self, pair: _Pair) -> bool:
        """Whether it is time to write again; the caller then does."""
        now = time.monotonic()
        with self._lock:
            at = self._at.pop(pair, None)
            is_due = at is None or now - at > ACCEPTED_EVERY.total_seconds()
            self._at[pair] = at if at is not None and not is_due else now
            while len(self._at) > self._SIZE:
                del self._at[next(iter(self._at))]
        return is_due

    def forget(self, pair: _Pair) -> None:
        """Have the next one written, because this one could not be."""
        with self._lock:
            self._at.pop(pair, None)


_written = _Written()


def acceptance_is_due(*, run_id: int, credential_id: int) -> bool:
    """Whether ``credential_accepted`` is to be called; asks no database."""
    return bool(settings.NETRAVEN.lockout_devices) and _written.claim((run_id, credential_id))


def credential_accepted(*, run_id: int, credential_id: int) -> bool:
    """Write down that a device has taken the credential. True if that ends its probation."""
    rows = RunCredential.objects.filter(run=run_id, credential=credential_id)
    fresh = {"accepted_at": Now(), "refusals": 0, "refusing_since": None}
    try:
        if rows.filter(proven_at__isnull=False).update(**fresh):
            return False
        RunCredential.objects.bulk_create(
            [RunCredential(run_id=run_id, credential_id=credential_id)], ignore_conflicts=True
        )
        return bool(rows.filter(proven_at=None).update(proven_at=Now(), **fresh))
    except Exception:
        _written.forget((run_id, credential_id))
        raise


@transaction.atomic
def log_in_permit(*, result_id: int, attempt: int, run_id: int, credential_id: int) -> bool:
    """Whether a session may log in with a credential on probation; if so, it counts from now on.

    So many may as all together could be refused before the credential is set aside.
    """
    probation = limit_key(LimitKind.PROBATION, run_id, credential_id)
    lock_limits(keys=[probation])
    taken = at_log_in(run_id=run_id, credential_id=credential_id)
    pair = (run_id, credential_id)
    allowed = log_ins_allowed(
        standings(pairs=[pair])[pair], limit=settings.NETRAVEN.lockout_devices
    )
    if allowed is None:
        return True
    if taken >= allowed:
        return False
    for held in claim_standing(claim=Claim(result_id, attempt)).select_for_update():
        keys = [*held.limit_keys, limit_key(LimitKind.LOG_IN, run_id, credential_id)]
        DeviceResult.objects.filter(pk=held.pk).update(limit_keys=keys)
        return True
    return False


def credential_unanswered(*, run_id: int, credential_id: int) -> None:
    """Count a session on probation that ended before the device said yes or no."""
    RunCredential.objects.filter(run=run_id, credential=credential_id, proven_at=None).update(
        unanswered=F("unanswered") + 1
    )


@transaction.atomic
def credential_refused(*, run_id: int, credential_id: int, jump_host: str | None = None) -> None:
    """Count that a device has refused the credential, and set it aside when that is enough.

    ``jump_host`` names the jump host that did so in place of a device.

    Called in the transaction that records the refusal: until its end the session counts as one that
    may still be refused.
    """
    limit = settings.NETRAVEN.lockout_devices
    if not limit:
        return
    RunCredential.objects.bulk_create(
        [RunCredential(run_id=run_id, credential_id=credential_id)], ignore_conflicts=True
    )
    row = (
        RunCredential.objects.select_for_update(of=("self",))
        .annotate(now=Now())
        .get(run=run_id, credential=credential_id)
    )
    if row.set_aside_at is not None:
        return
    if goes_on(refusing_since=row.refusing_since, accepted_at=row.accepted_at):
        row.refusals += 1
    else:
        row.refusals, row.refusing_since = 1, row.now
    if row.refusals >= limit:
        row.set_aside_at = row.now
        row.reason = (
            refused_at_reason(row.refusals, jump_host)
            if jump_host
            else set_aside_reason(_refusers(row))
        )
    row.save(update_fields=["refusals", "refusing_since", "set_aside_at", "reason"])
    if row.set_aside_at is not None:
        results_reassign(run_id=run_id, credential_id=credential_id)


@transaction.atomic
def results_reassign(*, run_id: int, credential_id: int) -> None:
    """Give the waiting devices of a credential that is set aside their next one, or skip them."""
    run = JobRun.objects.get(pk=run_id)
    waiting = list(
        # Locked in one order: others lock several rows at once as well.
        run.results.select_for_update()
        .filter(status__in=RESULT_CLAIM.sources, credential=credential_id)
        .only("pk", "run_id", "device_id")
        .order_by("pk")
    )
    if not waiting:
        return
    found = next_credentials(
        run=run, device_ids=[one.device_id for one in waiting if one.device_id is not None]
    )
    by_next: dict[int | None, list[DeviceResult]] = defaultdict(list)
    for result in waiting:
        result.credential_id = found.get(result.device_id or 0)
        by_next[result.credential_id].append(result)
    skipped = by_next.pop(None, [])
    _skip(run, credential_id, skipped)
    for next_id, results in by_next.items():
        for rows in _in_batches(results):
            rows.update(
                credential=next_id,
                limit_keys=[],
                parked_at=None,
                parked_key="",
                parked_reason="",
                queued_at=None,
            )
    moved = [result for results in by_next.values() for result in results]
    results_limit(run=run, results=moved, is_fallback=True)
    _log_set_aside(run, credential_id, moved=len(moved), skipped=len(skipped))


def is_set_aside(*, run_id: int, credential_id: int | None) -> bool:
    """Whether the run does not use the credential any more."""
    rows = RunCredential.objects.filter(run=run_id, credential=credential_id)
    return rows.filter(set_aside_at__isnull=False).exists()


def set_aside_message(*, run_id: int, credential_ids: Collection[int]) -> str | None:
    """Which of these credentials the run does not use any more, and why; None when it uses all."""
    rows = RunCredential.objects.filter(
        run=run_id, credential__in=credential_ids, set_aside_at__isnull=False
    )
    row = rows.select_related("run").first()
    return None if row is None else _what(row.run, row.credential_id)


def _refusers(row: RunCredential) -> list[str]:
    """Hostnames of the devices that have just refused it, the first one first."""
    refused = CredentialUse.objects.filter(
        credential=row.credential_id, device__results__run=row.run_id, last_failure_at__isnull=False
    ).order_by("-last_failure_at", "-pk")
    return list(refused.values_list("device__hostname", flat=True)[: row.refusals])[::-1]


def _in_batches(results: list[DeviceResult]) -> Iterator[QuerySet[DeviceResult]]:
    for start in range(0, len(results), _BATCH):
        ids = [result.pk for result in results[start : start + _BATCH]]
        yield DeviceResult.objects.filter(pk__in=ids, status__in=RESULT_CLAIM.sources)


def _skip(run: JobRun, credential_id: int, results: list[DeviceResult]) -> None:
    message = f"{_what(run, credential_id)}; check it, then run the job again"
    for rows in _in_batches(results):
        rows.update(
            status=ResultStatus.SKIPPED,
            error_category=ErrorCategory.CREDENTIAL_SET_ASIDE.value,
            error_message=message[:500],
            finished_at=Now(),
            retry_at=None,
        )


def _log_set_aside(run: JobRun, credential_id: int, *, moved: int, skipped: int) -> None:
    job_log(
        run=run,
        level=LogLevel.WARNING,
        message=f"{_what(run, credential_id)}; of the devices that waited for it {moved} get "
        f"their next credential, {skipped} have none and are skipped",
    )


def _what(run: JobRun, credential_id: int) -> str:
    name = Credential.objects.filter(pk=credential_id).values_list("name", flat=True).first()
    reason = run.credentials.filter(credential=credential_id).values_list("reason", flat=True)
    return f"credential '{name}' is set aside for this run: {reason.first()}"
