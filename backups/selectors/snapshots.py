"""Reading stored revisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import Q, QuerySet

from backups.engine.git.store import RevisionNotFound
from backups.engine.search import unpack
from backups.models import BY_NUMBER, CurrentText, Snapshot, SnapshotState
from backups.selectors.git import git_elsewhere, git_is_here, git_store
from common.statements import Statement
from common.texts import parsed_id
from inventory.models import Device

_NEWEST = Statement(
    lambda device_id: Snapshot.objects.filter(device=device_id).order_by("-collected_at", "-id")[
        :1
    ],
    device_id=int,
)


class SnapshotNotFound(Exception):
    """There is no such stored revision, or its text is lost; the message says what there is."""


def snapshots_of(*, device: Device) -> QuerySet[Snapshot]:
    """The revisions of ``device``, newest first, each with its device."""
    snapshots = Snapshot.objects.filter(device=device).select_related("device")
    return snapshots.order_by("-collected_at", "-id")


def snapshot_newest(*, device: Device) -> Snapshot | None:
    """The last stored revision of ``device``, or None before the first."""
    newest = _NEWEST.first(device_id=device.pk)
    if newest is not None:
        newest.device = device  # without a join: every backup asks
    return newest


def snapshot_get(*, device: Device, revision: str | None = None) -> Snapshot:
    """The revision of ``device`` whose commit begins with ``revision``, or the newest.

    ``id:NUMBER`` names a revision by its own number. Raises SnapshotNotFound when there is none or
    the beginning fits several.
    """
    if revision is None:
        newest = snapshot_newest(device=device)
        if newest is None:
            raise SnapshotNotFound(f"{device.hostname} has no stored configuration yet")
        return newest
    if revision.startswith(BY_NUMBER):
        return _by_id(device, revision.removeprefix(BY_NUMBER))
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
    """The redacted text of ``snapshot``.

    Raises SnapshotNotFound when the text is lost, DeviceError when Git cannot be read.
    """
    return next(snapshot_texts(snapshots=[snapshot]))


def snapshot_before(*, snapshot: Snapshot) -> Snapshot | None:
    """The revision before ``snapshot``, or None for the first."""
    earlier = Q(collected_at__lt=snapshot.collected_at)
    earlier |= Q(collected_at=snapshot.collected_at, id__lt=snapshot.pk)
    return snapshots_of(device=snapshot.device).filter(earlier).first()


def snapshot_after(*, snapshot: Snapshot) -> Snapshot | None:
    """The revision after ``snapshot``, or None for the newest."""
    later = Q(collected_at__gt=snapshot.collected_at)
    later |= Q(collected_at=snapshot.collected_at, id__gt=snapshot.pk)
    return snapshots_of(device=snapshot.device).filter(later).last()


def snapshot_texts(*, snapshots: Sequence[Snapshot]) -> Iterator[str]:
    """The redacted texts of ``snapshots`` in their order, read from Git a hundred at a time.

    On a host without the Git store newest texts come from the database. Raises SnapshotNotFound
    when a text is lost, DeviceError when Git cannot be read.
    """
    for snapshot in snapshots:
        if snapshot.state == SnapshotState.LOST:
            raise SnapshotNotFound(_lost(snapshot))
    if not git_is_here():
        yield from _texts_without_git(snapshots)
        return
    blobs = [snapshot.blob for snapshot in snapshots if snapshot.state == SnapshotState.COMMITTED]
    committed = git_store().read_blobs(blobs) if blobs else iter(())
    for snapshot in snapshots:
        if snapshot.state == SnapshotState.PENDING:
            yield snapshot.pending_text
            continue
        try:
            text = next(committed)[1]
        except RevisionNotFound as error:
            raise SnapshotNotFound(_lost(snapshot)) from error
        yield text


def revisions_to_compare(
    *, device: Device, old: str | None, new: str | None, other: Device | None = None
) -> tuple[Snapshot, Snapshot]:
    """The two revisions that are named, as ``snapshot_get`` reads names.

    Without ``other`` both are of ``device``: ``new`` is the newest by default and ``old`` the one
    before ``new``. With ``other`` the second is of that device, and both are the newest by
    default. Raises SnapshotNotFound.
    """
    if other is not None:
        return snapshot_get(device=device, revision=old), snapshot_get(device=other, revision=new)
    newer = snapshot_get(device=device, revision=new)
    older = snapshot_get(device=device, revision=old) if old else snapshot_before(snapshot=newer)
    if older is None:
        raise SnapshotNotFound(
            f"{device.hostname} has no revision before that one; there is nothing to compare"
        )
    return older, newer


def _texts_without_git(snapshots: Sequence[Snapshot]) -> Iterator[str]:
    """Texts that the database has: those that are not in Git yet, and the newest of devices."""
    for snapshot in snapshots:
        if snapshot.state == SnapshotState.PENDING:
            yield snapshot.pending_text
            continue
        current = CurrentText.objects.filter(snapshot=snapshot).first()
        if current is None:
            raise git_elsewhere()
        yield unpack(bytes(current.packed)).decode()


def _by_id(device: Device, number: str) -> Snapshot:
    asked = parsed_id(number)
    found = snapshots_of(device=device).filter(pk=asked).first() if asked else None
    if found is None:
        raise SnapshotNotFound(
            f"{device.hostname} has no revision {BY_NUMBER}{number[:20]}; "
            "'config history' lists them"
        )
    return found


def _lost(snapshot: Snapshot) -> str:
    return (
        f"{snapshot.device.hostname}: the text of revision {snapshot.commit[:10]} is not in the "
        "Git store; 'manage.py verify_store' tells more"
    )
