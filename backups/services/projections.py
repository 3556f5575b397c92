"""Keeping what is derived from the stored revisions up to date: the searched text and the dates of
secrets.

An ordinary backup does it in the transaction of its snapshot. What came about otherwise (an
upgrade, an imported history, a deleted revision) is caught up with by the reconciler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import structlog
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from backups.engine.errors import DeviceError
from backups.engine.search import pack
from backups.engine.secret_places import (
    DatedPlace,
    PlaceKey,
    SecretPlace,
    places_after,
    secret_places,
)
from backups.models import CurrentText, SecretUse, Snapshot, SnapshotState
from backups.selectors.snapshots import (
    SnapshotNotFound,
    snapshot_newest,
    snapshot_text,
    snapshot_texts,
)
from common.statements import Statement, Update, Upsert
from inventory.models import Device

logger = structlog.get_logger(__name__)

_MOST_DEVICES = 1000
#: Revisions that are replayed while the row of a device is locked.
_AT_ONCE = 200
_NEW_TEXT = Update(
    lambda device_id, snapshot_id, packed: (
        CurrentText.objects.filter(device=device_id),
        {"snapshot": snapshot_id, "packed": packed},
    ),
    device_id=int,
    snapshot_id=int,
    packed=bytes,
)
_SECRETS = Statement(
    lambda device_id: SecretUse.objects.filter(device=device_id).order_by(), device_id=int
)
_PUT_SECRETS = Upsert(
    SecretUse,
    key=["device", "place_digest", "occurrence"],
    changing=["place", "line_number", "token", "first_seen_at", "changed_at"],
)


#: A line that is put in above moves all secrets below, which alone needs no text to be sent.
_MOVE_SECRETS = """
    UPDATE backups_secretuse SET line_number = moved.line_number
    FROM unnest(%s::bigint[], %s::integer[]) AS moved (id, line_number)
    WHERE backups_secretuse.id = moved.id
"""


class NotIndexed(Exception):
    """A stored revision could not be read; the message says of which device, and why."""


def update(*, device: Device, snapshot: Snapshot, text: str) -> None:
    """Let ``snapshot`` with ``text`` be the newest revision of ``device``, whose row is locked.

    The text can be searched at once. The dates of the secrets follow at once as well, unless
    earlier revisions are not taken into account yet; then ``catch_up`` brings all of them in.
    """
    earlier = Snapshot.objects.filter(device=device).exclude(pk=snapshot.pk)
    had_text = _put_text(device, snapshot, text)
    if not had_text and earlier.exists():
        # The revision that the dates stand for is gone.
        earlier.update(is_projected=False)
    if earlier.filter(is_projected=False).exists():
        return
    _put_secrets(device, snapshot, text)
    Snapshot.objects.filter(pk=snapshot.pk).update(is_projected=True)


def put(*, device: Device, snapshot: Snapshot, text: str) -> None:
    """``update`` where text and dates take all earlier revisions into account.

    ``snapshot`` says already that it is projected.
    """
    _put_text(device, snapshot, text)
    _put_secrets(device, snapshot, text)


def catch_up(*, limit: int) -> int:
    """Replay up to ``limit`` revisions that are not taken into account yet; gives how many were.

    Texts of devices that have none come first, so that searches are complete soon, and count as
    well. Devices that are being worked on, and those whose revisions cannot be read, are left for
    the next call.
    """
    done = 0
    problems: list[str] = []
    for find, bring_up in ((_devices_without_text, _put_missing_text), (_devices_behind, _replay)):
        for device_id in find():
            if done >= limit:
                break
            try:
                done += _locked(device_id, bring_up, limit - done)
            except NotIndexed as error:
                problems.append(str(error))
    if problems:
        logger.warning("search_index.behind", devices=len(problems), error=problems[-1])
    return done


def is_behind() -> bool:
    """Whether ``catch_up`` would find anything."""
    return any(True for find in (_devices_without_text, _devices_behind) for _ in find())


def rebuild(*, device: Device) -> int:
    """Make everything that is derived from the revisions of ``device`` anew; gives their number.

    In steps, of which each is complete: when it is stopped, ``catch_up`` goes on. Raises
    NotIndexed when a revision cannot be read.
    """
    _locked(device.pk, _start_anew, 0, wait=True)
    done = 0
    while count := _locked(device.pk, _replay, _AT_ONCE, wait=True):
        done += count
    return done


@transaction.atomic
def _locked(
    device_id: int, work: Callable[[Device, int], int], limit: int, *, wait: bool = False
) -> int:
    """What ``work`` gives for the device with its row locked; 0 if another process has it.

    Raises NotIndexed; nothing has changed then.
    """
    rows = Device.objects.select_for_update(of=("self",), no_key=True, skip_locked=not wait)
    device = rows.filter(pk=device_id).first()
    if device is None:
        return 0
    try:
        return work(device, limit)
    except (DeviceError, SnapshotNotFound) as error:
        raise NotIndexed(f"{device.hostname}: {error}") from error


def _devices_without_text() -> Iterable[int]:
    snapshots = Snapshot.objects.filter(device=OuterRef("pk"))
    devices = Device.objects.filter(Exists(snapshots), current_text__isnull=True)
    return devices.order_by("pk").values_list("pk", flat=True)[:_MOST_DEVICES]


def _devices_behind() -> Iterable[int]:
    behind = Snapshot.objects.filter(is_projected=False).order_by("device_id")
    return behind.values_list("device_id", flat=True).distinct()[:_MOST_DEVICES]


def _start_anew(device: Device, _limit: int) -> int:
    """Store the newest text of ``device`` again, and have all its revisions replayed."""
    newest = snapshot_newest(device=device)
    if newest is not None and newest.state != SnapshotState.LOST:
        _put_text(device, newest, snapshot_text(snapshot=newest))
    Snapshot.objects.filter(device=device).update(is_projected=False)
    return 0


def _put_missing_text(device: Device, _limit: int) -> int:
    """Store the newest text of a device that has none, and have all its revisions replayed."""
    if CurrentText.objects.filter(device=device).exists() or not _put_newest_text(device):
        return 0
    Snapshot.objects.filter(device=device, is_projected=True).update(is_projected=False)
    return 1


def _put_newest_text(device: Device) -> bool:
    """See to it that the newest text of ``device`` is searched; gives whether it was not so."""
    newest = snapshot_newest(device=device)
    if newest is None or newest.state == SnapshotState.LOST:
        return False
    if CurrentText.objects.filter(device=device, snapshot=newest).exists():
        return False
    _put_text(device, newest, snapshot_text(snapshot=newest))
    return True


def _replay(device: Device, limit: int) -> int:
    """Take up to ``limit`` more revisions of ``device`` into account, oldest first.

    A revision whose text is lost changes nothing.
    """
    snapshots = Snapshot.objects.filter(device=device).order_by("collected_at", "id")
    pending = list(snapshots.filter(is_projected=False)[:limit])
    if not pending:
        return 0
    before = _stored_places(device)
    after = {key: stored.dated for key, stored in before.items()}
    if _begins_anew(snapshots, pending[0]):
        snapshots.filter(is_projected=True).update(is_projected=False)
        pending, after = list(snapshots[:limit]), {}
    readable = [snapshot for snapshot in pending if snapshot.state != SnapshotState.LOST]
    for snapshot, text in zip(readable, snapshot_texts(snapshots=readable), strict=True):
        after = places_after(after, secret_places(text), snapshot.collected_at)
    _put_places(device, before, after)
    Snapshot.objects.filter(pk__in=[snapshot.pk for snapshot in pending]).update(is_projected=True)
    _put_newest_text(device)
    return len(pending)


def _begins_anew(snapshots: QuerySet[Snapshot], pending: Snapshot) -> bool:
    """Whether ``pending`` is older than what the dates stand for, or the first of all."""
    later = Q(collected_at__gt=pending.collected_at)
    later |= Q(collected_at=pending.collected_at, pk__gt=pending.pk)
    return pending == snapshots.first() or snapshots.filter(later, is_projected=True).exists()


def _put_text(device: Device, snapshot: Snapshot, text: str) -> bool:
    """Store the text that is searched; gives whether there was one before."""
    packed = pack(text)
    if _NEW_TEXT.run(device_id=device.pk, snapshot_id=snapshot.pk, packed=packed):
        return True
    CurrentText.objects.create(device=device, snapshot=snapshot, packed=packed)
    return False


def _put_secrets(device: Device, snapshot: Snapshot, text: str) -> None:
    """Date the secrets in ``text``, the newest revision, by what is known of the earlier ones."""
    before = _stored_places(device)
    dated = {key: stored.dated for key, stored in before.items()}
    _put_places(device, before, places_after(dated, secret_places(text), snapshot.collected_at))


@dataclass(frozen=True, slots=True)
class _Stored:
    """A row, and what it says as the pure core has it."""

    row_id: int
    dated: DatedPlace


def _stored_places(device: Device) -> dict[PlaceKey, _Stored]:
    """The rows of ``device``."""
    stored = [
        _Stored(
            row.pk,
            DatedPlace(
                place=SecretPlace(
                    place=row.place,
                    place_digest=row.place_digest,
                    occurrence=row.occurrence,
                    line_number=row.line_number,
                    token=row.token,
                ),
                first_seen_at=row.first_seen_at,
                changed_at=row.changed_at,
            ),
        )
        for row in _SECRETS.all(device_id=device.pk)
    ]
    return {one.dated.place.key: one for one in stored}


def _put_places(
    device: Device, before: Mapping[PlaceKey, _Stored], after: Mapping[PlaceKey, DatedPlace]
) -> None:
    """Turn the rows ``before`` into those ``after``; equal ones are not touched."""
    gone = [stored.row_id for key, stored in before.items() if key not in after]
    if gone:
        SecretUse.objects.filter(pk__in=gone).delete()
    moved: dict[int, int] = {}
    rows = []
    for key, dated in after.items():
        stored = before.get(key)
        if stored is None or not _is_same_but_for_its_line(stored.dated, dated):
            rows.append(_secret_use(device, dated))
        elif stored.dated != dated:
            moved[stored.row_id] = dated.place.line_number
    _PUT_SECRETS.run(rows)
    if moved:
        with connection.cursor() as cursor:
            cursor.execute(_MOVE_SECRETS, [list(moved), list(moved.values())])


def _is_same_but_for_its_line(one: DatedPlace, other: DatedPlace) -> bool:
    place = replace(one.place, line_number=other.place.line_number)
    return replace(one, place=place) == other


def _secret_use(device: Device, dated: DatedPlace) -> SecretUse:
    return SecretUse(
        device=device,
        place=dated.place.place,
        place_digest=dated.place.place_digest,
        occurrence=dated.place.occurrence,
        line_number=dated.place.line_number,
        token=dated.place.token,
        first_seen_at=dated.first_seen_at,
        changed_at=dated.changed_at,
    )
