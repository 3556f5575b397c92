"""How old the last backup of each device is, and what its tags ask for.

A device is backed up when a run has read it and the configuration stands in Git, whether that was
new or not. Objectives are hours; the strictest tag of a device counts, and without any the setting
``freshness_hours``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import (
    Case,
    CharField,
    DateTimeField,
    DurationField,
    ExpressionWrapper,
    F,
    IntegerField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Now

from backups.models import Snapshot, SnapshotState
from credentials.models import Tag
from inventory.models import Device

#: Each device is looked at once; a join to its tags would look at it once for each of them.
_GROUPED = """
    WITH states (id, freshness, is_overdue) AS MATERIALIZED ({states})
    SELECT NULL, freshness, is_overdue, COUNT(*) FROM states GROUP BY 2, 3
    UNION ALL
    SELECT tag_id, freshness, is_overdue, COUNT(*)
    FROM states JOIN inventory_device_tags ON device_id = states.id GROUP BY 1, 2, 3
"""


class Freshness(StrEnum):
    """Where a device stands. The values are part of the API."""

    FRESH = "fresh"
    #: The last backup is older than the objective.
    STALE = "stale"
    #: It was never backed up, with an objective or without.
    NEVER = "never"
    #: It was backed up, and nothing says how often it has to be.
    NO_OBJECTIVE = "no_objective"


@dataclass(frozen=True, slots=True)
class FreshnessCounts:
    """Active devices by where they stand."""

    by_state: dict[Freshness, int] = field(default_factory=dict)
    #: Those that are stale, and those that were never backed up and should have been by this time.
    overdue: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_state.values())

    def of(self, state: Freshness) -> int:
        """How many stand there."""
        return self.by_state.get(state, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFreshness:
    """The devices that carry a tag; each counts with the strictest of all its tags."""

    tag: str
    #: What the tag itself asks for; None for nothing.
    objective_hours: int | None
    counts: FreshnessCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessReport:
    """The active devices at this moment."""

    #: Of devices whose tags ask for nothing; None for no objective.
    default_hours: int | None
    counts: FreshnessCounts
    #: By name; tags without an active device and without an objective are left out.
    tags: tuple[TagFreshness, ...]


def default_objective_hours() -> int | None:
    """The objective of devices whose tags ask for nothing; None for none."""
    return settings.NETRAVEN.freshness_hours or None


def with_freshness(*, devices: QuerySet[Any]) -> QuerySet[Any]:
    """``devices`` (or rows of DeviceFreshness), each with what is to be known of its last backup.

    Adds ``last_backup_at`` (the end of the read; None if there was none), ``objective_hours``
    (None without one), ``due_at`` (until when the next backup has to be there, counted from the
    last one or else from when the device was made; None without an objective), ``is_overdue`` and
    ``freshness`` (a ``Freshness``). They can be filtered and ordered by.
    """
    objective = F("objective_hours") * Value(timedelta(hours=1))
    return devices.annotate(
        last_backup_at=Subquery(_last_backups(), output_field=DateTimeField(null=True)),
        objective_hours=Coalesce(
            Subquery(_strictest(), output_field=IntegerField()),
            Value(default_objective_hours(), output_field=IntegerField(null=True)),
        ),
        due_at=ExpressionWrapper(
            Coalesce("last_backup_at", "created_at")
            + ExpressionWrapper(objective, output_field=DurationField()),
            output_field=DateTimeField(null=True),
        ),
        is_overdue=Case(When(due_at__lt=Now(), then=Value(True)), default=Value(False)),
        freshness=Case(
            When(last_backup_at=None, then=Value(Freshness.NEVER.value)),
            When(objective_hours=None, then=Value(Freshness.NO_OBJECTIVE.value)),
            When(due_at__lt=Now(), then=Value(Freshness.STALE.value)),
            default=Value(Freshness.FRESH.value),
            output_field=CharField(),
        ),
    )


def freshness_report(
    *, scope: QuerySet[Device] | None = None, tags: QuerySet[Tag] | None = None
) -> FreshnessReport:
    """How many active devices of ``scope`` stand where, in all and by tag of ``tags``.

    None means all of them. Two queries, however many devices and tags there are.
    """
    devices = Device.objects.all() if scope is None else scope
    by_tag: dict[int | None, list[tuple[str, bool, int]]] = defaultdict(list)
    for tag_id, *row in _grouped(devices.filter(is_active=True)):
        by_tag[tag_id].append(tuple(row))
    known = Tag.objects.all() if tags is None else tags
    return FreshnessReport(
        default_hours=default_objective_hours(),
        counts=_counts(by_tag[None]),
        tags=tuple(
            TagFreshness(
                tag=tag.name,
                objective_hours=tag.freshness_hours,
                counts=_counts(by_tag.get(tag.pk, ())),
            )
            for tag in known.order_by("name")
            if tag.pk in by_tag or tag.freshness_hours is not None
        ),
    )


def overdue_count() -> int:
    """How many active devices should have been backed up by this time. One query."""
    active = with_freshness(devices=Device.objects.filter(is_active=True))
    return active.filter(is_overdue=True).count()


def _grouped(devices: QuerySet[Device]) -> list[Any]:
    """Tag id (None for all devices), state, whether overdue, and how many devices that are."""
    states = with_freshness(devices=devices).order_by().values("pk", "freshness", "is_overdue")
    sql, parameters = states.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_GROUPED.format(states=sql), parameters)
        return cursor.fetchall()


def _counts(rows: Iterable[Any]) -> FreshnessCounts:
    by_state = dict.fromkeys(Freshness, 0)
    overdue = 0
    for state, is_overdue, count in rows:
        by_state[Freshness(state)] += count
        overdue += count if is_overdue else 0
    return FreshnessCounts(by_state=by_state, overdue=overdue)


def _last_backups() -> QuerySet[Snapshot, Any]:
    """When the newest revision in Git was last read.

    What was imported from another program is no backup of ours before it was read again.
    """
    ours = Q(imported_from="") | Q(last_read_at__gt=F("collected_at"))
    return (
        Snapshot.objects.filter(ours, device=OuterRef("pk"), state=SnapshotState.COMMITTED)
        .order_by("-collected_at", "-id")
        .values_list(Coalesce("last_read_at", "collected_at"))[:1]
    )


def _strictest() -> QuerySet[Any, Any]:
    carried: QuerySet[Any, Any] = Device.tags.through.objects.filter(
        device=OuterRef("pk")
    ).order_by()
    return carried.values("device").annotate(hours=Min("tag__freshness_hours")).values("hours")
