"""Bringing stored snapshots into Git, which is a projection of the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import timedelta

from django.db import DatabaseError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from backups.engine.authors import commit_author
from backups.engine.git.branch import IMPORTED, MAIN
from backups.engine.git.failures import damaged
from backups.engine.git.store import RevisionNotFound
from backups.engine.redaction import redacted_from_store
from backups.engine.types import CommitRequest, SavedRevision
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import git_store, git_store_to_write
from backups.services.store import locked_device
from common.statements import Statement, Update
from inventory.models import Device

#: The oldest snapshot of a device that waits for Git, and whether there are more.
_PENDING = Statement(
    lambda device_id: Snapshot.objects.filter(
        device=device_id, state=SnapshotState.PENDING
    ).order_by("collected_at", "id")[:2],
    device_id=int,
)
#: What a commit tells about its snapshot.
_WRITE_COMMIT = Update(
    lambda snapshot_id, **told: (
        Snapshot.objects.filter(pk=snapshot_id),
        {**told, "state": SnapshotState.COMMITTED, "pending_text": ""},
    ),
    snapshot_id=int,
    commit=str,
    blob=str,
    lines_added=int,
    lines_removed=int,
    change_digest=str,
)


def snapshots_commit(*, device_id: int) -> list[Snapshot]:
    """Bring the pending snapshots of one device into Git, oldest first, and give them.

    Raises DeviceError when Git cannot be written; the snapshots then stay pending and lose
    nothing. Safe to run twice and in many processes: the device's row is locked.
    Without a transaction around it each snapshot is one of its own, so that a process that dies
    leaves at most one that is in Git already.
    """
    committed: list[Snapshot] = []
    is_last = False
    while not is_last:
        snapshot, is_last = snapshot_commit_oldest(device_id=device_id)
        committed += [] if snapshot is None else [snapshot]
    return committed


@transaction.atomic(savepoint=False)
def snapshot_commit_oldest(*, device_id: int) -> tuple[Snapshot | None, bool]:
    """Bring the oldest pending snapshot of a device into Git, and say whether it was the last one.

    None where none was pending. Raises DeviceError as ``snapshots_commit`` does, which takes all of
    them.
    """
    device = locked_device(device_id)
    pending = _PENDING.all(device_id=device_id)
    if not pending:
        return None, True
    snapshot, *others = pending
    request = commit_request(
        snapshot=snapshot,
        device=device,
        text=snapshot.pending_text,
        branch=branch_of(snapshot),
    )
    _record(snapshot, git_store_to_write().save(request))
    return snapshot, not others


def devices_with_pending_snapshots(*, older_than_seconds: float, limit: int) -> list[int]:
    """Ids of devices with a snapshot that has waited for Git for so long, oldest first.

    One whose time is yet to come counts as well: a clock was ahead, and it would wait for that.
    """
    before = Now() - timedelta(seconds=older_than_seconds)
    waiting = Q(collected_at__lt=before) | Q(collected_at__gt=Now())
    rows = Snapshot.objects.filter(waiting, state=SnapshotState.PENDING)
    return list(dict.fromkeys(rows.order_by("id").values_list("device_id", flat=True)[:limit]))


@transaction.atomic(savepoint=False)
def snapshots_commit_together(*, device_ids: Collection[int]) -> None:
    """Bring the oldest pending snapshot of each of several devices into Git, a commit each.

    Only one of each: what Git has got and a failing database forgets is recognised when it is
    brought again, as long as nothing of the device came after it.
    The right to write to the store is taken once, and all of them come in or none. Raises
    DeviceError; the snapshots then stay pending. The rows of the devices are locked in order.
    """
    devices = Device.objects.select_for_update(of=("self",), no_key=True).order_by("pk")
    locked = devices.in_bulk(list(device_ids))
    pending = Snapshot.objects.filter(device__in=locked, state=SnapshotState.PENDING)
    oldest = pending.order_by("device_id", "collected_at", "id").distinct("device_id")
    by_branch: dict[str, list[Snapshot]] = defaultdict(list)
    for snapshot in sorted(oldest, key=lambda one: (one.collected_at, one.pk)):
        by_branch[branch_of(snapshot)].append(snapshot)
    for branch, snapshots in by_branch.items():
        requests = [
            commit_request(
                snapshot=each, device=locked[each.device_id], text=each.pending_text, branch=branch
            )
            for each in snapshots
        ]
        revisions = git_store_to_write().save_all(requests)
        for snapshot, revision in zip(snapshots, revisions, strict=True):
            _record(snapshot, revision)


def commit_request(
    *,
    snapshot: Snapshot,
    device: Device,
    text: str,
    branch: str,
    committed_at: int | None = None,
) -> CommitRequest:
    """What Git is to get of ``snapshot``, whose redacted configuration is ``text``.

    ``committed_at`` is the time of the commit in Unix seconds, None for the time of the save.
    """
    return CommitRequest(
        path=snapshot.path,
        config=redacted_from_store(text),
        hostname=device.hostname,
        device_id=device.pk,
        run_id=snapshot.run_id,
        job_name=snapshot.job_name,
        author=commit_author(snapshot.changed_by, device.hostname),
        collected_at=int(snapshot.collected_at.timestamp()),
        branch=branch,
        committed_at=committed_at,
    )


def _record(snapshot: Snapshot, revision: SavedRevision) -> None:
    """Write down where ``snapshot`` stands in Git."""
    snapshot.state = SnapshotState.COMMITTED
    snapshot.commit = revision.commit
    snapshot.blob = revision.blob
    snapshot.lines_added = revision.lines_added
    snapshot.lines_removed = revision.lines_removed
    snapshot.change_digest = revision.change_digest
    snapshot.pending_text = ""
    if not revision.changed:
        _count_again(snapshot)
    written = _WRITE_COMMIT.run(
        snapshot_id=snapshot.pk,
        commit=snapshot.commit,
        blob=snapshot.blob,
        lines_added=snapshot.lines_added,
        lines_removed=snapshot.lines_removed,
        change_digest=snapshot.change_digest,
    )
    if not written:
        raise DatabaseError(f"snapshot {snapshot.pk} was deleted while it came into Git")


def _count_again(snapshot: Snapshot) -> None:
    """Fill in the change of a snapshot that a process brought into Git right before it died."""
    before = Snapshot.objects.filter(
        device=snapshot.device_id,
        state=SnapshotState.COMMITTED,
        collected_at__lte=snapshot.collected_at,
    ).exclude(pk=snapshot.pk)
    predecessor = before.order_by("-collected_at", "-id").first()
    try:
        change = git_store().change(predecessor.blob if predecessor else None, snapshot.blob)
    except RevisionNotFound as error:
        raise damaged(f"what snapshot {snapshot.pk} has changed cannot be read") from error
    snapshot.lines_added = change.added
    snapshot.lines_removed = change.removed
    snapshot.change_digest = change.digest


def branch_of(snapshot: Snapshot) -> str:
    """The branch for a snapshot that is to be committed now.

    Foreign history for which main has something newer already stands on a branch of its own, so
    that main shows the newest text.
    """
    if not snapshot.imported_from:
        return MAIN
    later = Q(collected_at__gt=snapshot.collected_at)
    later |= Q(collected_at=snapshot.collected_at, id__gt=snapshot.pk)
    in_git = Snapshot.objects.filter(device=snapshot.device_id, state=SnapshotState.COMMITTED)
    return IMPORTED if in_git.filter(later).exists() else MAIN
