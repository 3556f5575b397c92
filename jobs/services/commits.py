"""Committing what device workers have stored, where only the ``git`` queue writes to Git.

A device worker leaves a device RUNNING with its snapshot; here it is committed and recorded by the
same claim. Several devices share a turn of the Git store and a transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from backups.engine.errors import DeviceError
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import git_store_prepare
from backups.services import projections
from backups.services.commits import (
    devices_with_pending_snapshots,
    snapshots_commit,
    snapshots_commit_together,
)
from jobs.models import DeviceResult
from jobs.services.backup import failure_record, success_record
from jobs.services.claims import Claim
from jobs.services.results import result_take_back, results_handed_over
from jobs.services.sessions import session_failure

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class HandedOver:
    """What became of devices whose commit was left to the queue."""

    #: How many devices were looked at.
    devices: int = 0
    #: Runs of which devices have ended.
    run_ids: set[int] = field(default_factory=set)
    #: Devices whose commit failed, and the seconds until they are tried again.
    retries: list[tuple[DeviceResult, float]] = field(default_factory=list)


def commit_is_asked_by_nobody_else(*, result_id: int) -> bool:
    """Whether the device that was just handed over has to ask for its commit itself.

    While an older one waits, its commit is asked for or under way, and whoever carries that out
    looks for more afterwards. Older by id: of two that come at once, one asks.
    """
    return not results_handed_over().filter(pk__lt=result_id).exists()


def commits_are_waiting() -> bool:
    """Whether any device that was handed over waits for its commit."""
    return results_handed_over().exists()


def handed_over_commit(*, limit: int) -> HandedOver:
    """Commit and record up to ``limit`` devices; those that another process has at hand are its.

    When not all of them can be committed together, each is tried alone, so that one that cannot
    keeps none of the others back.
    """
    try:
        git_store_prepare()
        return _together(limit)
    except Exception as error:  # noqa: BLE001 - each device gets its own answer below
        logger.warning("commit.one_by_one", error=_reason(error))
    done = HandedOver()
    for result_id in list(_waiting().values_list("pk", flat=True)[:limit]):
        _alone(result_id, done)
    return done


def leftovers_are_waiting() -> bool:
    """Whether ``leftovers_commit`` would find anything."""
    return bool(_devices_left_over(1)) or projections.is_behind()


def leftovers_commit(*, limit: int) -> None:
    """Commit snapshots that no device result waits for, and bring up to date what Git is read for.

    Such snapshots are of runs that were ended meanwhile, and of accepted suspects.
    """
    problems = []
    for device_id in _devices_left_over(limit):
        try:
            snapshots_commit(device_id=device_id)
        except DeviceError as error:
            problems.append(error.message)
    if problems:
        logger.warning("git_store.behind", devices=len(problems), error=problems[-1])
    projections.catch_up(limit=limit)


@transaction.atomic
def _together(limit: int) -> HandedOver:
    results = list(_free()[:limit])
    snapshots = {result.snapshot_id: result.device_id for result in results}
    snapshots_commit_together(device_ids={pk for pk in snapshots.values() if pk is not None})
    in_git = Snapshot.objects.filter(state=SnapshotState.COMMITTED).in_bulk(
        [pk for pk in snapshots if pk is not None]
    )
    # The others have an older one that came first, and come in the next turn.
    done = [result for result in results if result.snapshot_id in in_git]
    for result in done:
        assert result.snapshot_id is not None  # that is how it was found
        success_record(
            result=result,
            claim=Claim(result.pk, result.attempts),
            snapshot=in_git[result.snapshot_id],
        )
    return HandedOver(devices=len(results), run_ids={result.run_id for result in done})


def _alone(result_id: int, done: HandedOver) -> None:
    with transaction.atomic():
        result = _free().filter(pk=result_id).first()
        if result is None:
            return
        done.devices += 1
        failure = _commit(result)
        if failure is None:
            done.run_ids.add(result.run_id)
            return
        claim = Claim(result.pk, result.attempts)
        result_take_back(claim=claim)
        recorded = failure_record(result=result, claim=claim, failure=failure)
    if recorded is not None and recorded.retry_seconds is not None:
        done.retries.append((result, recorded.retry_seconds))
    else:
        done.run_ids.add(result.run_id)


def _commit(result: DeviceResult) -> DeviceError | None:
    """Commit and record one device whose row is locked; or why that failed."""
    assert result.snapshot is not None  # that is how it was found
    try:
        with transaction.atomic():
            git_store_prepare()
            snapshots_commit(device_id=result.snapshot.device_id)
            result.snapshot.refresh_from_db()
            claim = Claim(result.pk, result.attempts)
            success_record(result=result, claim=claim, snapshot=result.snapshot)
    except Exception as error:  # noqa: BLE001 - recorded with the device
        return session_failure(what="commit", error=error, result=result.pk)
    return None


def _free() -> QuerySet[DeviceResult]:
    """Those that wait and no other process has at hand; locks them."""
    return _waiting().select_for_update(of=("self",), skip_locked=True)


def _waiting() -> QuerySet[DeviceResult]:
    return results_handed_over().select_related("run", "device__zone", "snapshot")


def _devices_left_over(limit: int) -> list[int]:
    older = settings.NETRAVEN.lease_seconds
    return devices_with_pending_snapshots(older_than_seconds=older, limit=limit)


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, DeviceError) else type(error).__name__
