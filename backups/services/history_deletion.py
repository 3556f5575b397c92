"""Deleting stored revisions on purpose: the one way in which NetRaven deletes a history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Model, Q, QuerySet

from backups.engine.config_path import config_path
from backups.engine.git.failures import store_failure
from backups.engine.git.rebuild import Rebuild
from backups.engine.git.removal import remove_config
from backups.models import (
    Archive,
    HistoryDeletion,
    SecretUse,
    Snapshot,
    SnapshotState,
    Suspect,
)
from backups.selectors.git import commit_signer, git_require_here
from backups.selectors.snapshots import snapshot_newest
from backups.services.rebuild import Progress, Rebuilt, store_rebuild
from backups.services.store import locked_device
from inventory.models import Device

logger = structlog.get_logger(__name__)

_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten:
    """What became of the repository."""

    rebuilt: Rebuilt
    #: Repositories that were replaced earlier or are kept; they still have what was deleted.
    kept: list[Path]


@transaction.atomic
def history_delete(
    *, device: Device, deleted_by: str, before: datetime | None = None
) -> HistoryDeletion:
    """Delete what is stored of ``device``, or what was collected before a moment.

    Rows, raw copies and suspects go; who read raw copies stays. With ``before`` the newest
    revision stays, however old it is, and so does the newest artefact of each name. Without it Git
    gets a commit that removes the file; the commits before it are only gone after
    ``store_rewrite``. Raises DeviceError when Git cannot be written; nothing is deleted then.
    """
    if before is None:
        _require_git_of(device)
    device = locked_device(device.pk)
    newest = snapshot_newest(device=device)
    path = newest.path if newest else config_path(device.hostname, device.pk)
    snapshots, archives, suspects = _to_delete(device, before, newest)
    deletion = HistoryDeletion(
        hostname=device.hostname,
        device_id=device.pk,
        before=before,
        suspect_count=_delete(suspects),
        archive_count=_delete(archives),
        snapshot_count=_delete(snapshots),
        deleted_by=deleted_by[:200],
    )
    deletion.save()
    if before is None:
        SecretUse.objects.filter(device=device).delete()
        _remove_file(device, path)
    logger.info(
        "history.deleted",
        device=device.hostname,
        snapshots=deletion.snapshot_count,
        deleted_by=deletion.deleted_by,
    )
    return deletion


def store_rewrite(*, progress: Progress) -> Rewritten:
    """Build the Git store anew, without what was deleted, and delete the one it replaces.

    That one is kept when it holds a text that could not be found again. Raises DeviceError, also
    on a host that is not the one where the store lives.
    """
    git_require_here()
    rebuild = Rebuild(settings.NETRAVEN.git_directory)
    with rebuild.alone():
        rebuilt = store_rebuild(progress=progress)
        if rebuilt.replaced is not None and not rebuilt.lost:
            rebuild.discard(rebuilt.replaced)
        return Rewritten(rebuilt=rebuilt, kept=rebuild.asides())


def _to_delete(
    device: Device, before: datetime | None, newest: Snapshot | None
) -> tuple[QuerySet[Snapshot], QuerySet[Archive], QuerySet[Suspect]]:
    snapshots = Snapshot.objects.filter(device=device)
    archives = Archive.objects.filter(device=device)
    if before is not None:
        artefacts = archives.exclude(name="").order_by("name", "-id").distinct("name")
        snapshots = snapshots.filter(collected_at__lt=before)
        archives = archives.filter(collected_at__lt=before)
        archives = archives.exclude(pk__in=list(artefacts.values_list("pk", flat=True)))
        if newest is not None:
            snapshots = snapshots.exclude(pk=newest.pk)
            archives = archives.exclude(snapshot=newest)
        # A raw copy may have been read again long after its revision.
        archives |= Archive.objects.filter(device=device, snapshot__in=snapshots)
    suspects = Suspect.objects.filter(Q(archive__in=archives) | Q(snapshot__in=snapshots))
    return snapshots, archives, suspects


def _delete(rows: QuerySet[Model]) -> int:
    """Delete ``rows``, a few at a time: the objects that Django loads for it may be large."""
    ids = list(rows.values_list("pk", flat=True))
    for start in range(0, len(ids), _AT_ONCE):
        chunk = rows.model._default_manager.filter(pk__in=ids[start : start + _AT_ONCE])
        chunk.only("pk").delete()
    return len(ids)


def _require_git_of(device: Device) -> None:
    """Raise DeviceError when a configuration of ``device`` is in a store that is not at hand."""
    if (settings.NETRAVEN.git_directory / "HEAD").exists():
        return
    if Snapshot.objects.filter(device=device, state=SnapshotState.COMMITTED).exists():
        git_require_here()
        raise store_failure(
            f"The Git store at {settings.NETRAVEN.git_directory} is gone, and the configuration is "
            "in it: see that its disk is mounted."
        )


def _remove_file(device: Device, path: str) -> None:
    repository = settings.NETRAVEN.git_directory
    if (repository / "HEAD").exists():
        remove_config(
            repository,
            path,
            hostname=device.hostname,
            device_id=device.pk,
            sign=commit_signer(),
        )
