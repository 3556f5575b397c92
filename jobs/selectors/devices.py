"""Devices with how their last backup went, and what happened to one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django_stubs_ext import WithAnnotations

from backups.models import Snapshot
from backups.selectors.freshness import with_freshness
from inventory.models import Device
from inventory.selectors import with_names
from jobs.choices import FAILURE_STATUSES
from jobs.models import DeviceResult


class LastState(TypedDict):
    """What ``devices_with_state`` adds to a device; None where there is nothing yet."""

    #: As in ``inventory.selectors.with_names``.
    zone_name: str | None
    tag_names: Sequence[str]
    #: ``run``, ``status``, ``error_category`` and ``error_message`` of the newest device result.
    last_result: Mapping[str, object] | None
    #: As in ``backups.selectors.freshness.with_freshness``.
    last_backup_at: datetime | None
    freshness: str
    due_at: datetime | None
    #: When the newest revision was collected.
    last_change_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """Something that happened to a device: a revision, or a result that is a failure."""

    at: datetime
    snapshot: Snapshot | None = None
    result: DeviceResult | None = None


def devices_with_state(
    *, devices: QuerySet[Device]
) -> QuerySet[WithAnnotations[Device, LastState]]:
    """``devices`` with the names of their zone and tags and their last state; one query."""
    revisions = Snapshot.objects.filter(device=OuterRef("pk")).order_by("-collected_at", "-id")
    newest = _newest_results().values(
        found=JSONObject(
            run="run_id",
            status="status",
            error_category="error_category",
            error_message="error_message",
        )
    )
    found: QuerySet[WithAnnotations[Device, LastState]] = with_freshness(
        devices=with_names(devices=devices)
    ).annotate(
        last_result=Subquery(newest[:1]),
        last_change_at=Subquery(revisions.values("collected_at")[:1]),
    )
    return found


def devices_by_last_status(*, devices: QuerySet[Device], status: str | None) -> QuerySet[Device]:
    """Those whose newest device result has this status; None = those without a result."""
    newest = Subquery(_newest_results().values("status")[:1])
    found = devices.alias(last_status=newest)
    if status is None:
        return found.filter(last_status__isnull=True)
    return found.filter(last_status=status)


def device_timeline(*, device: Device, page: int, size: int) -> tuple[list[TimelineEntry], bool]:
    """The revisions and failures of ``device``, newest first, and whether there are older ones.

    ``page`` counts from 1, with ``size`` entries on each. Two queries.
    """
    end = page * size
    revisions = device.snapshots.defer("pending_text").order_by("-collected_at", "-id")
    failures = device.results.filter(status__in=FAILURE_STATUSES).order_by("-id")
    entries = [TimelineEntry(at=one.collected_at, snapshot=one) for one in revisions[: end + 1]]
    entries += [
        TimelineEntry(at=one.finished_at, result=one)
        for one in failures[: end + 1]
        if one.finished_at is not None
    ]
    entries.sort(key=lambda entry: entry.at, reverse=True)
    return entries[end - size : end], len(entries) > end


def last_results_of(*, device: Device, count: int = 10) -> QuerySet[DeviceResult]:
    """The newest device results of ``device``, each with its run and snapshot."""
    return device.results.select_related("run", "snapshot").order_by("-id")[:count]


def _newest_results() -> QuerySet[DeviceResult]:
    return DeviceResult.objects.filter(device=OuterRef("pk")).order_by("-id")
