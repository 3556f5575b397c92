"""Reading stored revisions."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db.models import QuerySet

from backups.engine.git_store import GitStore
from backups.models import Archive, Snapshot, SnapshotState, Suspect, SuspectState
from credentials.services import installation_cipher
from inventory.models import Device


class SnapshotNotFound(Exception):
    """There is no such stored revision; the message says what there is."""


class SuspectNotFound(Exception):
    """There is no such suspect output; the message says what there is."""


@functools.cache
def git_store() -> GitStore:
    """The repository of this installation, made when it is not there yet. Raises DeviceError."""
    return GitStore.open_or_create(settings.NETRAVEN.git_directory)


def snapshots_of(*, device: Device) -> QuerySet[Snapshot]:
    """The revisions of ``device``, newest first."""
    return Snapshot.objects.filter(device=device).order_by("-id")


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
    return (
        Snapshot.objects.filter(device_id=snapshot.device_id, id__lt=snapshot.pk)
        .order_by("-id")
        .first()
    )


def suspects_open() -> QuerySet[Suspect]:
    """Outputs that wait for a decision, newest first."""
    return Suspect.objects.filter(state=SuspectState.OPEN).select_related("device").order_by("-id")


def suspect_newest(*, device: Device) -> Suspect:
    """The newest output of ``device`` that waits for a decision. Raises SuspectNotFound."""
    suspect = suspects_open().filter(device=device).first()
    if suspect is None:
        raise SuspectNotFound(
            f"{device.hostname} has no suspect output that waits for a decision; "
            "'suspects' lists those that do"
        )
    return suspect


def archive_newest(*, snapshot: Snapshot) -> Archive | None:
    """The raw copy of ``snapshot`` that was read last, or None when it was pruned."""
    return snapshot.archives.order_by("-id").first()


def archive_bytes(*, archive: Archive) -> bytes:
    """The raw bytes in ``archive``. Callers check the permission and record the reading first.

    Raises CipherError when the key is missing or the value is damaged.
    """
    sealed = installation_cipher().open(bytes(archive.sealed), context=archive_context(archive))
    return zlib.decompress(sealed)


def archive_context(archive: Archive) -> str:
    """What the sealed bytes of ``archive`` are bound to."""
    return f"archive:{archive.seal_id}"


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
        .order_by("device_id", "-id")
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
