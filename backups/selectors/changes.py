"""What changed in the fleet: equal changes of a run as one entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber

from backups.models import Snapshot, SnapshotState
from backups.selectors.diffs import Comparison, without_volatile
from backups.selectors.snapshots import snapshot_texts
from inventory.models import Device

#: How far back is looked when neither a run nor a time is named.
RECENT = timedelta(days=7)
#: Devices that an entry names, and lines of its diff.
DEVICES_SHOWN = 10
DIFF_LINES_SHOWN = 200


class ChangeKind(StrEnum):
    """What an entry is about. The values are part of the API."""

    CHANGE = "change"
    #: First revisions of devices; there is nothing that they change.
    FIRST = "first"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeQuery:
    """Which revisions are grouped; None asks for nothing."""

    kind: ChangeKind = ChangeKind.CHANGE
    #: Collected at this time or later, and before that time.
    since: datetime | None = None
    until: datetime | None = None
    run_id: int | None = None
    device_id: int | None = None
    #: In any case.
    hostname: str | None = None
    tag: str | None = None
    #: As the device names who changed it.
    author: str | None = None
    #: Whether somebody took note of it; True and False ask for one of the two.
    acknowledged: bool | None = None
    #: Only what so many of these devices have in common.
    min_devices: int = 1
    #: None = all devices.
    scope: QuerySet[Device] | None = None


class ChangeGroup(TypedDict):
    """A row of ``change_groups``."""

    run_id: int | None
    job_name: str
    change_digest: str
    device_count: int
    #: How many of the devices somebody took note of.
    acknowledged_count: int
    newest_at: datetime
    added: int
    removed: int
    sample_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChange:
    """The same change on one or more devices in one run."""

    group: ChangeGroup
    #: Revisions of the first devices by hostname, each with its device.
    snapshots: Sequence[Snapshot]
    #: One of the revisions; its diff stands for all.
    sample: Snapshot
    #: First lines of the unified diff; empty for first revisions and where it was not asked for.
    diff: str
    is_diff_cut: bool


def change_groups(*, query: ChangeQuery) -> QuerySet[Snapshot, Any]:
    """One ``ChangeGroup`` for equal changes of a run, the newest first; to be paged.

    Revisions that are not in Git yet are left out: what they change is not known yet.
    """
    groups = (
        _snapshots(query)
        .values("run_id", "job_name", "change_digest")
        .annotate(
            device_count=Count("device_id", distinct=True),
            acknowledged_count=Count(
                "device_id", distinct=True, filter=Q(acknowledgement__isnull=False)
            ),
            newest_at=Max("collected_at"),
            added=Max("lines_added"),
            removed=Max("lines_removed"),
            sample_id=Max("id"),
        )
    )
    if query.min_devices > 1:
        groups = groups.filter(device_count__gte=query.min_devices)
    return groups.order_by("-newest_at", "-sample_id")


def fleet_changes(
    *, query: ChangeQuery, groups: Sequence[ChangeGroup], with_diff: bool = True
) -> list[FleetChange]:
    """The ``groups`` of ``query`` with devices and diffs; the queries do not grow with them.

    A diff shows a change without lines that change by themselves. Raises SnapshotNotFound when a
    text is lost, DeviceError when Git cannot be read.
    """
    samples = _samples([group["sample_id"] for group in groups])
    devices = _first_devices(query, groups)
    wanted = with_diff and query.kind is ChangeKind.CHANGE
    diffs = _diffs(list(samples.values())) if wanted else {}
    return [
        FleetChange(
            group=group,
            snapshots=devices[_key(group)],
            sample=samples[group["sample_id"]],
            diff="".join(diffs.get(group["sample_id"], [])[:DIFF_LINES_SHOWN]),
            is_diff_cut=len(diffs.get(group["sample_id"], [])) > DIFF_LINES_SHOWN,
        )
        for group in groups
    ]


def change_snapshots(*, query: ChangeQuery, change_digest: str) -> QuerySet[Snapshot]:
    """The revisions that made one change, by hostname, each with its device; to be paged."""
    snapshots = _snapshots(query).filter(change_digest=change_digest)
    return snapshots.select_related("device").order_by("device__hostname", "id")


def change_like(*, snapshot: Snapshot, scope: QuerySet[Device] | None = None) -> QuerySet[Snapshot]:
    """The revisions of the run of ``snapshot`` with the same change, of devices in ``scope``.

    By hostname, each with its device and who took note of it; ``scope`` None = all devices.
    """
    snapshots = Snapshot.objects.filter(
        run_id=snapshot.run_id,
        job_name=snapshot.job_name,
        change_digest=snapshot.change_digest,
    ).exclude(state=SnapshotState.PENDING)
    if scope is not None:
        snapshots = snapshots.filter(device__in=scope)
    snapshots = snapshots.select_related("device", "acknowledgement").defer("pending_text")
    return snapshots.order_by("device__hostname", "id")


def _snapshots(query: ChangeQuery) -> QuerySet[Snapshot]:
    wanted: dict[str, Any] = {
        "collected_at__gte": query.since,
        "collected_at__lt": query.until,
        "run_id": query.run_id,
        "device_id": query.device_id,
        "device__hostname__iexact": query.hostname,
        "device__tags__name__iexact": query.tag,
        "changed_by": query.author,
        "device__in": query.scope,
        "acknowledgement__isnull": None if query.acknowledged is None else not query.acknowledged,
    }
    snapshots = Snapshot.objects.filter(
        **{lookup: value for lookup, value in wanted.items() if value is not None}
    ).exclude(state=SnapshotState.PENDING)
    if query.kind is ChangeKind.FIRST:
        return snapshots.filter(~Exists(_before(OuterRef)), change_digest="")
    return snapshots.exclude(change_digest="")


def _before(outer: Callable[[str], Any]) -> QuerySet[Snapshot]:
    """The revisions of the same device before that of ``outer``, newest first."""
    earlier = Q(collected_at__lt=outer("collected_at"))
    earlier |= Q(collected_at=outer("collected_at"), pk__lt=outer("pk"))
    snapshots = Snapshot.objects.filter(earlier, device=outer("device"))
    return snapshots.order_by("-collected_at", "-id")


def _key(group: ChangeGroup) -> tuple[int | None, str, str]:
    return group["run_id"], group["job_name"], group["change_digest"]


def _samples(ids: Sequence[int]) -> dict[int, Any]:
    """The revisions by id, each with ``before_id``, that of the revision before it."""
    samples = (
        Snapshot.objects.filter(pk__in=ids)
        .select_related("device", "acknowledgement")
        .annotate(before_id=Subquery(_before(OuterRef).values("pk")[:1]))
    )
    return {sample.pk: sample for sample in samples}


def _first_devices(
    query: ChangeQuery, groups: Sequence[ChangeGroup]
) -> dict[tuple[int | None, str, str], list[Snapshot]]:
    runs = {group["run_id"] for group in groups}
    numbered = (
        _snapshots(query)
        .filter(
            Q(run_id__in=runs - {None}) | (Q(run_id=None) if None in runs else Q(pk__in=[])),
            change_digest__in={group["change_digest"] for group in groups},
        )
        .annotate(
            place=Window(
                RowNumber(),
                partition_by=["run_id", "job_name", "change_digest"],
                order_by=["device__hostname", "id"],
            )
        )
        .filter(place__lte=DEVICES_SHOWN)
        .order_by()
    )
    # Few of the many that are numbered are shown, and the columns of a row are many.
    first = Snapshot.objects.filter(pk__in=list(numbered.values_list("pk", flat=True)))
    shown = first.select_related("device").defer("pending_text")
    devices: dict[tuple[int | None, str, str], list[Snapshot]] = {_key(g): [] for g in groups}
    for snapshot in shown.order_by("device__hostname", "id"):
        key = (snapshot.run_id, snapshot.job_name, snapshot.change_digest)
        if key in devices:
            devices[key].append(snapshot)
    return devices


def _diffs(samples: Sequence[Any]) -> dict[int, list[str]]:
    """The first lines of each sample's unified diff; one more than are shown, if there are more."""
    before = _samples([sample.before_id for sample in samples if sample.before_id is not None])
    pairs = [
        (before[sample.before_id], sample)
        for sample in samples
        if sample.state != SnapshotState.LOST
        and sample.before_id in before
        and before[sample.before_id].state != SnapshotState.LOST
    ]
    texts = snapshot_texts(snapshots=[snapshot for pair in pairs for snapshot in pair])
    diffs = {}
    for old, new in pairs:
        comparison = Comparison(
            old=old,
            new=new,
            old_text=without_volatile(old.device.platform, next(texts)),
            new_text=without_volatile(new.device.platform, next(texts)),
        )
        lines = comparison.unified().splitlines(keepends=True)
        diffs[new.pk] = lines[: DIFF_LINES_SHOWN + 1]
    return diffs
