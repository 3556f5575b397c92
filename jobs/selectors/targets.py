"""Jobs with their last run, and which devices a job would be about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.db.models.functions import JSONObject
from django_stubs_ext import WithAnnotations

from credentials.models import Tag
from inventory.models import Device
from inventory.resolution import devices_without_credential
from inventory.selectors import devices_with_tags
from jobs.models import DeviceResult, Job, JobRun


class LastRun(TypedDict):
    """What ``jobs_with_last_run`` adds to a job."""

    #: ``id`` and ``status`` of the newest run, None before the first.
    last_run: Mapping[str, object] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """How many devices a job would read."""

    devices: int
    #: Those of them that no active credential fits.
    without_credential: int


def jobs_with_last_run(
    *, jobs: QuerySet[Job], scope: QuerySet[Device] | None
) -> QuerySet[WithAnnotations[Job, LastRun]]:
    """``jobs`` with their tags and the newest run that has a device in ``scope`` (None = all)."""
    runs = JobRun.objects.filter(job=OuterRef("pk")).order_by("-pk")
    if scope is not None:
        seen = DeviceResult.objects.filter(run=OuterRef("pk"), device__in=scope)
        runs = runs.filter(Exists(seen))
    last_run = Subquery(runs.values(found=JSONObject(id="id", status="status"))[:1])
    found: QuerySet[WithAnnotations[Job, LastRun]] = jobs.prefetch_related("tags").annotate(
        last_run=last_run
    )
    return found


def targets_of(*, tags: Iterable[Tag], scope: QuerySet[Device] | None) -> Targets:
    """What a job with ``tags`` would read of the devices in ``scope`` (None = all); two queries."""
    carrying = devices_with_tags(tags=tags).order_by()
    devices = Device.objects.filter(pk__in=carrying.values("pk")).order_by()
    if scope is not None:
        devices = devices.filter(pk__in=scope.values("pk"))
    return Targets(
        devices=devices.count(),
        without_credential=devices_without_credential(devices=devices).count(),
    )
