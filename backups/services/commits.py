"""Bringing stored snapshots into Git, which is a projection of the database."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from backups.engine.authors import commit_author
from backups.engine.errors import DeviceError
from backups.engine.redaction import redacted_from_store
from backups.engine.types import CommitRequest
from backups.models import Snapshot, SnapshotState
from backups.selectors.git import git_store
from backups.services.store import locked_device
from inventory.models import Device


@transaction.atomic(savepoint=False)
def snapshots_commit(*, device_id: int) -> None:
    """Bring the pending snapshots of one device into Git, oldest first.

    Raises DeviceError when Git cannot be written; the snapshots then stay pending and lose
    nothing. Safe to run twice and in many processes: the device's row is locked.
    """
    device = locked_device(device_id)
    pending = Snapshot.objects.filter(device=device, state=SnapshotState.PENDING).order_by(
        "collected_at", "id"
    )
    for snapshot in pending:
        _commit(device, snapshot)


def devices_with_pending_snapshots(*, older_than_seconds: float, limit: int) -> list[int]:
    """Ids of devices with a snapshot that has waited for Git for so long, oldest first."""
    before = timezone.now() - timedelta(seconds=older_than_seconds)
    rows = Snapshot.objects.filter(state=SnapshotState.PENDING, collected_at__lt=before)
    return list(dict.fromkeys(rows.order_by("id").values_list("device_id", flat=True)[:limit]))


def configs_push() -> str | None:
    """Push the repository to the configured remote; None when done, else what is wrong."""
    remote = settings.NETRAVEN.git_remote
    if remote is None:
        return None
    try:
        git_store().push(remote)
    except DeviceError as error:
        return error.message
    return None


def _commit(device: Device, snapshot: Snapshot) -> None:
    revision = git_store().save(
        CommitRequest(
            path=snapshot.path,
            config=redacted_from_store(snapshot.pending_text),
            hostname=device.hostname,
            device_id=device.pk,
            run_id=snapshot.run_id,
            job_name=snapshot.job_name,
            author=commit_author(snapshot.changed_by, device.hostname),
            collected_at=int(snapshot.collected_at.timestamp()),
        )
    )
    snapshot.state = SnapshotState.COMMITTED
    snapshot.commit = revision.commit
    snapshot.blob = revision.blob
    snapshot.lines_added = revision.lines_added
    snapshot.lines_removed = revision.lines_removed
    snapshot.pending_text = ""
    snapshot.save()
