"""Deleting raw copies and decided suspects that are no longer to be kept. Git history stays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from backups.models import Archive, Suspect, SuspectState
from backups.selectors.retention import Retention, retentions_of
from inventory.models import Device

_DEVICES_AT_ONCE = 200
_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunedArchives:
    """How many rows were deleted, or would be."""

    archives: int = 0
    suspects: int = 0

    def __add__(self, other: PrunedArchives) -> PrunedArchives:
        return PrunedArchives(
            archives=self.archives + other.archives, suspects=self.suspects + other.suspects
        )


def archives_prune(*, dry_run: bool = False) -> PrunedArchives:
    """Delete raw copies that are both too old and not among the newest of their device and name.

    A suspect that waits for a decision keeps its raw copy. One that was overtaken goes with it
    when it is too old; one that was accepted goes with its raw copy. Short transactions; safe in
    many processes at once.
    """
    now, total = timezone.now(), PrunedArchives()
    for group, retention in _groups():
        if retention.archive_days is None:
            continue
        before = now - timedelta(days=retention.archive_days)
        for rows in (_overtaken(group, before), _surplus(group, before, retention.archive_count)):
            total += _count(rows) if dry_run else _delete(rows)
    return total


def _groups() -> Iterator[tuple[list[int], Retention]]:
    """All devices, those with the same retention together, so many at a time."""
    last = 0
    devices = Device.objects.order_by("pk").values_list("pk", flat=True)
    while ids := list(devices.filter(pk__gt=last)[:_DEVICES_AT_ONCE]):
        last = ids[-1]
        groups: dict[Retention, list[int]] = defaultdict(list)
        for device_id, retention in retentions_of(device_ids=ids).items():
            groups[retention].append(device_id)
        for retention, group in groups.items():
            yield group, retention


def _overtaken(devices: Sequence[int], before: datetime) -> QuerySet[Archive]:
    closed = (SuspectState.OVERTAKEN, SuspectState.DISMISSED)
    return Archive.objects.filter(
        device__in=devices, collected_at__lt=before, suspect__state__in=closed
    )


def _surplus(devices: Sequence[int], before: datetime, count: int) -> QuerySet[Archive]:
    """Old raw copies of snapshots, and old artefacts, beyond the newest ``count`` of each."""
    kept = Archive.objects.filter(device__in=devices).filter(
        Q(snapshot__isnull=False) | ~Q(name="")
    )
    rank = Window(
        RowNumber(),
        partition_by=[F("device"), F("name")],
        order_by=[F("collected_at").desc(), F("id").desc()],
    )
    beyond = kept.annotate(rank=rank).filter(rank__gt=count).values("pk")
    # The age is asked outside: inside it would be asked before the ranks are given.
    return Archive.objects.filter(pk__in=beyond, collected_at__lt=before)


def _count(rows: QuerySet[Archive]) -> PrunedArchives:
    return PrunedArchives(
        archives=rows.count(),
        suspects=Suspect.objects.filter(archive__in=rows.values("pk")).count(),
    )


def _delete(rows: QuerySet[Archive]) -> PrunedArchives:
    ids = list(rows.order_by("pk").values_list("pk", flat=True))
    total = PrunedArchives()
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        total += _delete_some(ids[start : start + _ROWS_AT_ONCE])
    return total


@transaction.atomic
def _delete_some(ids: Sequence[int]) -> PrunedArchives:
    """Delete these raw copies; what another process has at hand is its own."""
    rows = Archive.objects.select_for_update(of=("self",), skip_locked=True).filter(pk__in=ids)
    mine = list(rows.values_list("pk", flat=True))
    _, suspects = Suspect.objects.filter(archive__in=mine).delete()
    Archive.objects.filter(pk__in=mine).only("pk").delete()
    return PrunedArchives(archives=len(mine), suspects=suspects.get("backups.Suspect", 0))
