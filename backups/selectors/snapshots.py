"""Reading stored revisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from backups.models import Snapshot, SnapshotState
from backups.selectors.git import git_store
from inventory.models import Device


class SnapshotNotFound(Exception):
    """There is no such stored revision; the message says what there is."""


def snapshots_of(*, device: Device) -> QuerySet[Snapshot]:
    """The revisions of ``device``, newest first."""
    return Snapshot.objects.filter(device=device).order_by("-collected_at", "-id")


def snapshot_newest(*, device: Device) -> Snapshot | None:
    """The last stored revision of ``device``, or None before the first."""
    return snapshots_of(device=device).first()


def snapshot_get(*, device: Device, revision: str | None = None) -> Snapshot:
    """The revision of ``device`` whose commit begins with ``revision``, or the newest.

    Raises SnapshotNotFound when there is none or the beginning fits several.
    """
    if revision is None:
        newest = snapshot_newest(device=device)
        if newest is None:
            raise SnapshotNotFound(f"{device.hostname} has no stored configuration yet")
        return newest
    if not (4 <= len(revision) <= 64 and set(revision.lower()) <= set("0123456789abcdef")):
        raise SnapshotNotFound(
            f"'{revision[:70]}' is no revision: give at least 4 hex digits of a commit"
        )
    found = list(snapshots_of(device=device).filter(commit__startswith=revision.lower())[:2])
    if not found:
        raise SnapshotNotFound(
            f"{device.hostname} has no revision {revision}; 'config history' lists them"
        )
    if len(found) > 1:
        raise SnapshotNotFound(f"revision {revision} fits several; give more digits")
    return found[0]


def snapshot_text(*, snapshot: Snapshot) -> str:
    """The redacted text of ``snapshot``. Raises DeviceError when Git cannot be read."""
    if snapshot.state == SnapshotState.PENDING:
        return snapshot.pending_text
    return git_store().read_blob(snapshot.blob)


def snapshot_before(*, snapshot: Snapshot) -> Snapshot | None:
    """The revision before ``snapshot``, or None for the first."""
    earlier = Q(collected_at__lt=snapshot.collected_at)
    earlier |= Q(collected_at=snapshot.collected_at, id__lt=snapshot.pk)
    return snapshots_of(device=snapshot.device).filter(earlier).first()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestText:
    """A device with the redacted text of its newest revision."""

    device: Device
    snapshot: Snapshot
    text: str


def newest_texts(*, tag: str | None = None) -> Iterator[NewestText]:
    """The newest redacted text of every device (of those with ``tag``), by hostname."""
    snapshots = (
        Snapshot.objects.filter(device__is_active=True)
        .order_by("device_id", "-collected_at", "-id")
        .distinct("device_id")
        .select_related("device")
    )
    if tag is not None:
        snapshots = snapshots.filter(device__tags__name__iexact=tag)
    ordered = sorted(snapshots, key=lambda snapshot: snapshot.device.hostname)
    committed = [snapshot.blob for snapshot in ordered if snapshot.blob]
    texts = git_store().read_blobs(committed)
    for snapshot in ordered:
        text = next(texts)[1] if snapshot.blob else snapshot.pending_text
        yield NewestText(device=snapshot.device, snapshot=snapshot, text=text)
