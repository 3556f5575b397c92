"""One device of a run, from the claimed row to its record."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from backups.engine.cancellation import Cancellation
from backups.engine.errors import DeviceError, ErrorCategory, LogInWithheld
from backups.engine.netmiko_collector import NetmikoCollector
from backups.engine.pipeline import BackupOutcome, BackupRequest
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import git_is_queued
from backups.services.commits import snapshot_commit_oldest
from backups.services.host_keys import host_key_offered
from backups.services.sessions import backup_collect, backup_request
from backups.services.store import RunLabel, backup_store
from backups.targets import opened_credential
from credentials.models import Credential
from credentials.secret import DeviceCredential
from jobs.choices import LogLevel, ResultStatus
from jobs.models import DeviceResult
from jobs.policy import RetryLimits, failure_status, retry_delay
from jobs.policy.lockout import is_acceptance
from jobs.services.claims import Claim
from jobs.services.durations import durations_count
from jobs.services.fallback import credential_after
from jobs.services.guard import RunGuard
from jobs.services.logs import connection_log, job_log
from jobs.services.parking import result_withhold
from jobs.services.results import (
    claim_holds,
    result_fail,
    result_fall_back,
    result_hand_over,
    result_retry,
    result_skip,
    result_succeed,
    result_suspect,
)
from jobs.services.runs import DEVICE_DELETED
from jobs.services.session_watch import WatchedCollector
from jobs.services.sessions import database_use, outlasts_database, session_failure

_GIVEN_UP = "given up"


def _nothing() -> None:
    """For callers that wait for nobody's log-in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDone:
    """How an attempt ended. ``retry_seconds`` is None unless another attempt is due.

    RUNNING stands for a configuration that is stored and waits for the ``git`` queue.
    """

    status: ResultStatus
    retry_seconds: float | None = None
    #: Whether others of the run may have been told to stop using the credential.
    was_refused: bool = False


def device_back_up(
    *,
    result: DeviceResult,
    cancellation: Cancellation | None = None,
    on_proven: Callable[[], None] = _nothing,
) -> DeviceDone | None:
    """Back up the device of a claimed ``result`` and record how it went.

    ``on_proven`` is called during the session if the device is the first of the run to take its
    credential. Device trouble is recorded, not raised. None when the claim was lost on the way, its
    run was cancelled, or the device was given back: the row waits for somebody else then, or is had
    by somebody. ``cancellation`` ends the session when that happens in its middle.
    """
    claim = Claim(result.pk, result.attempts)
    if result.device is None:
        with database_use():
            return _skip_deleted(result, claim)
    guard = RunGuard(result, on_proven)
    secrets: tuple[str, ...] = ()
    try:
        with database_use():
            credential = _credential(result)
            secrets = credential.secrets()
            request = _request(result, credential, cancellation, guard)
        collector = WatchedCollector(NetmikoCollector(), claim)
        outcome = backup_collect(request=request, collector=collector)
        guard.logged_in()
        begun = time.monotonic()
        with database_use(for_long=True):
            done = _store(result, claim, request, outcome)
        store = {"store": time.monotonic() - begun}
        durations_count(phase_seconds={**outcome.phase_seconds, **store})
        return done  # noqa: TRY300  # what storing raises is recorded as well
    except Exception as error:  # noqa: BLE001 - recorded, so that the chord completes
        failure = session_failure(what="backup", error=error, result=result.pk)
    with database_use():
        if isinstance(failure, LogInWithheld):
            result_withhold(result=result)
            return None
        done = failure_record(
            result=result, claim=claim, failure=failure, secrets=secrets, guard=guard
        )
    if is_acceptance(failure.category, at_jump_host=failure.jump_host is not None):
        guard.logged_in()
    return done


def _skip_deleted(result: DeviceResult, claim: Claim) -> DeviceDone | None:
    if not result_skip(claim=claim, reason=DEVICE_DELETED):
        return None
    message = f"{result.hostname}: {DEVICE_DELETED}"
    job_log(run=result.run_id, level=LogLevel.WARNING, message=message)
    return DeviceDone(status=ResultStatus.SKIPPED)


@outlasts_database
def _credential(result: DeviceResult) -> DeviceCredential:
    if result.credential is None:
        raise DeviceError(
            ErrorCategory.NO_CREDENTIAL, "the credential of this device was deleted during the run"
        )
    return opened_credential(result.credential)


@outlasts_database
def _request(
    result: DeviceResult,
    credential: DeviceCredential,
    cancellation: Cancellation | None,
    guard: RunGuard,
) -> BackupRequest:
    assert result.device is not None  # device_back_up has looked
    request = backup_request(
        device=result.device,
        credential=credential,
        cancellation=cancellation,
        guard=guard,
        changed_by=result.changed_by,
    )
    guard.go_by(request.target.jumps)
    return request


@outlasts_database
def _store(
    result: DeviceResult, claim: Claim, request: BackupRequest, outcome: BackupOutcome
) -> DeviceDone | None:
    """Archive and snapshot first, then Git and the record; each asks whether the claim holds."""
    assert result.device is not None  # device_back_up has looked
    label = RunLabel(run_id=result.run_id, job_name=result.run.job_name)
    with transaction.atomic():
        if not claim_holds(claim=claim):
            return None
        snapshot = backup_store(device=result.device, outcome=outcome, label=label)
        if snapshot is None:
            return _record_suspect(result, claim, request, outcome)
        if snapshot.state == SnapshotState.COMMITTED:
            return _record_success(result, claim, request, outcome, snapshot)
        if git_is_queued():
            return _hand_over(result, claim, request, outcome, snapshot)
    while True:
        # One transaction per commit: a database that fails then forgets one at most.
        with transaction.atomic():
            if not claim_holds(claim=claim):
                return None
            committed, is_last = snapshot_commit_oldest(device_id=result.device.pk)
            if is_last:
                if committed is None or committed.pk != snapshot.pk:
                    # Somebody else has committed it meanwhile.
                    committed = Snapshot.objects.get(pk=snapshot.pk)
                return _record_success(result, claim, request, outcome, committed)


def _record_suspect(
    result: DeviceResult, claim: Claim, request: BackupRequest, outcome: BackupOutcome
) -> DeviceDone:
    result_suspect(claim=claim, reasons=outcome.suspicions)
    _log_suspect(result, outcome)
    _log_findings(result, request, outcome)
    return DeviceDone(status=ResultStatus.SUSPECT)


def _hand_over(
    result: DeviceResult,
    claim: Claim,
    request: BackupRequest,
    outcome: BackupOutcome,
    snapshot: Snapshot,
) -> DeviceDone:
    result_hand_over(claim=claim, snapshot=snapshot)
    _log_session(result, request, outcome)
    _log_findings(result, request, outcome)
    return DeviceDone(status=ResultStatus.RUNNING)


def _record_success(
    result: DeviceResult,
    claim: Claim,
    request: BackupRequest,
    outcome: BackupOutcome,
    snapshot: Snapshot,
) -> DeviceDone:
    success_record(result=result, claim=claim, snapshot=snapshot)
    _log_session(result, request, outcome)
    _log_findings(result, request, outcome)
    return DeviceDone(status=ResultStatus.SUCCEEDED)


def success_record(*, result: DeviceResult, claim: Claim, snapshot: Snapshot) -> None:
    """Record that the configuration of a claimed ``result`` stands in Git, with a line in the log.

    Inside the transaction that has made sure of the claim.
    """
    # By the run and not by the attempt: an earlier one may have stored it and failed at Git.
    changed = snapshot.run_id == result.run_id
    result_succeed(claim=claim, snapshot=snapshot, changed=changed)
    size = f"+{snapshot.lines_added} -{snapshot.lines_removed} lines" if changed else "unchanged"
    job_log(
        run=result.run_id,
        device_id=result.device_id,
        message=f"{result.hostname}: backed up, {size}",
    )


@outlasts_database
def failure_record(
    *,
    result: DeviceResult,
    claim: Claim,
    failure: DeviceError,
    secrets: tuple[str, ...] = (),
    guard: RunGuard | None = None,
) -> DeviceDone | None:
    """Record a failed attempt and whether another one follows; None when the claim was lost.

    ``guard`` counts what the failure says about the credential; None for one after the session. A
    device that refused its credential is tried again with the next one, at once.
    """
    with transaction.atomic():
        if not claim_holds(claim=claim):
            return None
        if result.device_id is not None:
            host_key_offered(result.device_id, failure)
        was_refused = guard is not None and guard.count_failure(failure)
        following = credential_after(result=result) if was_refused else None
        delay = _retry_delay(result, failure) if following is None else 0.0
        _record_failure(claim, failure, delay, following)
        _log_failure(result, failure, _what_follows(delay, following), secrets)
    status = failure_status(failure.category) if delay is None else ResultStatus.RETRYING
    return DeviceDone(status=status, retry_seconds=delay, was_refused=was_refused)


def _retry_delay(result: DeviceResult, failure: DeviceError) -> float | None:
    """Seconds until the next attempt with the same credential; None for no more attempts."""
    config = settings.NETRAVEN
    return retry_delay(
        category=failure.category,
        attempt=result.own_attempts,
        limits=RetryLimits(
            attempts=config.retry_attempts,
            backoff_seconds=config.retry_backoff_seconds,
            backoff_max_seconds=config.retry_backoff_max_seconds,
        ),
    )


def _record_failure(
    claim: Claim, failure: DeviceError, delay: float | None, following: Credential | None
) -> None:
    """Have the device tried with the ``following`` credential or after ``delay``, or end it."""
    if following is not None:
        result_fall_back(claim=claim, failure=failure, credential=following)
        return
    category, message = failure.category, failure.message
    if delay is not None:
        result_retry(claim=claim, category=category, message=message, delay_seconds=delay)
        return
    result_fail(claim=claim, status=failure_status(category), category=category, message=message)


def _what_follows(delay: float | None, following: Credential | None) -> str:
    if following is not None:
        return f"tried again with credential '{following.name}'"
    return _GIVEN_UP if delay is None else f"tried again in {delay:.0f} s"


def _log_session(result: DeviceResult, request: BackupRequest, outcome: BackupOutcome) -> None:
    phases = ", ".join(f"{name} {value:.2f} s" for name, value in outcome.phase_seconds.items())
    connection_log(
        result=result,
        message=f"{result.hostname}: logged in to {request.target.address} port "
        f"{request.target.port} as {request.credential.username}; {phases}; "
        f"{len(outcome.raw)} bytes",
        secrets=request.credential.secrets(),
    )


def _log_suspect(result: DeviceResult, outcome: BackupOutcome) -> None:
    message = f"{result.hostname}: the output is not trusted and was not committed: " + "; ".join(
        outcome.suspicions
    )
    connection_log(result=result, level=LogLevel.WARNING, message=message)
    job_log(run=result.run_id, device_id=result.device_id, level=LogLevel.WARNING, message=message)


def _log_findings(result: DeviceResult, request: BackupRequest, outcome: BackupOutcome) -> None:
    """What the session showed beside the configuration, a line each in the connection log."""
    lines = [f"a command did not work: {note}" for note in outcome.notes]
    if outcome.unsaved:
        lines.append("the running-config is not saved; a restart of the device would lose changes")
    for line in lines:
        connection_log(
            result=result,
            level=LogLevel.WARNING,
            message=f"{result.hostname}: {line}",
            secrets=request.credential.secrets(),
        )


def _log_failure(
    result: DeviceResult, failure: DeviceError, then: str, secrets: tuple[str, ...]
) -> None:
    message = (
        f"{result.hostname}: attempt {result.attempts}: {failure.category}: {failure.message}; "
        f"{then}"
    )
    level = LogLevel.ERROR if then == _GIVEN_UP else LogLevel.WARNING
    connection_log(result=result, level=level, message=message, secrets=secrets)
    job_log(run=result.run_id, device_id=result.device_id, level=level, message=message)
