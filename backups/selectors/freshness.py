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

#: Each device is looked at once, and each tag that a device carries; to look for the tags of one
#: device after the other takes as long as all the rest.
_STATES = """
    WITH backups (id, created_at, last_at) AS MATERIALIZED ({backups}),
    strictest AS MATERIALIZED (
        SELECT device_id, MIN(freshness_hours) AS hours
        FROM inventory_device_tags JOIN credentials_tag ON credentials_tag.id = tag_id
        WHERE freshness_hours IS NOT NULL GROUP BY 1
    ),
    due AS (
        SELECT id, created_at, last_at, COALESCE(hours, %s::integer) AS hours
        FROM backups LEFT JOIN strictest ON device_id = id
    ),
    states AS MATERIALIZED (
        SELECT id, is_overdue, CASE
            WHEN last_at IS NULL THEN 'never'
            WHEN hours IS NULL THEN 'no_objective'
            WHEN is_overdue THEN 'stale'
            ELSE 'fresh'
        END AS freshness
        FROM due CROSS JOIN LATERAL (SELECT COALESCE(
            COALESCE(last_at, created_at) + hours * INTERVAL '1 hour' < STATEMENT_TIMESTAMP(), FALSE
        ) AS is_overdue) AS compared
    )
    SELECT NULL::bigint, freshness, is_overdue, COUNT(*) FROM states GROUP BY 2, 3
"""
_BY_TAG = """
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


def with_freshness(*, devices: QuerySet[Any], of_all: bool = False) -> QuerySet[Any]:
    """``devices`` (or rows of DeviceFreshness), each with what is to be known of its last backup.

    Adds ``last_backup_at`` (the end of the read; None if there was none), ``objective_hours``
    (None without one), ``due_at`` (until when the next backup has to be there, counted from the
    last one or else from when the device was made; None without an objective), ``is_overdue`` and
    ``freshness`` (a ``Freshness``). They can be filtered and ordered by.

    ``hours_of_all`` and ``due_of_all`` are ``objective_hours`` and ``due_at`` once more, to filter
    and order by; they are not read with the rows. With ``of_all``, for more devices than those of
    a tag, they take a fraction of the time, and a query of their own at once.
    """
    found = devices.annotate(
        last_backup_at=Subquery(_last_backups(), output_field=DateTimeField(null=True)),
        objective_hours=_or_default(Subquery(_strictest(), output_field=IntegerField())),
        due_at=_due("objective_hours"),
        is_overdue=Case(When(due_at__lt=Now(), then=Value(True)), default=Value(False)),
        freshness=Case(
            When(last_backup_at=None, then=Value(Freshness.NEVER.value)),
            When(objective_hours=None, then=Value(Freshness.NO_OBJECTIVE.value)),
            When(due_at__lt=Now(), then=Value(Freshness.STALE.value)),
            default=Value(Freshness.FRESH.value),
            output_field=CharField(),
        ),
    )
    hours = _or_default(_strictest_of_all()) if of_all else F("objective_hours")
    return found.alias(hours_of_all=hours, due_of_all=_due("hours_of_all"))


def devices_in_state(*, devices: QuerySet[Any], state: Freshness) -> QuerySet[Any]:
    """Those of ``devices``, which ``with_freshness`` has given, that stand there.

    The same as a filter by ``freshness``, for which the database would read more of each device.
    """
    if state is Freshness.NEVER:
        return devices.filter(last_backup_at=None)
    if state is Freshness.NO_OBJECTIVE:
        return devices.filter(hours_of_all=None, last_backup_at__isnull=False)
    oldest = ExpressionWrapper(Now() - _duration("hours_of_all"), output_field=DateTimeField())
    if state is Freshness.STALE:
        return devices.filter(last_backup_at__lt=oldest)
    return devices.filter(last_backup_at__gte=oldest)


def freshness_report(
    *, scope: QuerySet[Device] | None = None, tags: QuerySet[Tag] | None = None
) -> FreshnessReport:
    """How many active devices of ``scope`` stand where, in all and by tag of ``tags``.

    None means all of them. Two queries, however many devices and tags there are.
    """
    devices = Device.objects.all() if scope is None else scope
    known = Tag.objects.all() if tags is None else tags
    by_tag: dict[int | None, list[tuple[str, bool, int]]] = defaultdict(list)
    for tag_id, *row in _grouped(devices.filter(is_active=True), with_tags=True):
        by_tag[tag_id].append(tuple(row))
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


def freshness_counts(*, scope: QuerySet[Device] | None = None) -> FreshnessCounts:
    """How many active devices of ``scope`` (None = all) stand where. One query."""
    devices = Device.objects.all() if scope is None else scope
    return _counts(row for _, *row in _grouped(devices.filter(is_active=True)))


def _grouped(devices: QuerySet[Device], *, with_tags: bool = False) -> list[Any]:
    """Tag id (None for all devices), state, whether overdue, and how many devices that are."""
    columns = (
        devices.order_by()
        .annotate(last_backup_at=Subquery(_last_backups()))
        .values("pk", "created_at", "last_backup_at")
    )
    sql, parameters = columns.query.sql_with_params()
    grouped = _STATES.format(backups=sql) + (_BY_TAG if with_tags else "")
    with connection.cursor() as cursor:
        cursor.execute(grouped, [*parameters, default_objective_hours()])
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


def _strictest_of_all() -> Case:
    """The same as sets of devices by what is asked for, each of which the database reads once."""
    tags: dict[int, list[int]] = defaultdict(list)
    asking = Tag.objects.filter(freshness_hours__isnull=False).order_by("freshness_hours")
    for tag in asking.only("freshness_hours"):
        tags[tag.freshness_hours or 0].append(tag.pk)
    carried = Device.tags.through.objects.order_by().values("device_id")
    return Case(
        *(When(pk__in=carried.filter(tag__in=ids), then=hours) for hours, ids in tags.items()),
        output_field=IntegerField(null=True),
    )


def _or_default(hours: Any) -> Coalesce:
    default = Value(default_objective_hours(), output_field=IntegerField(null=True))
    return Coalesce(hours, default)


def _due(hours: str) -> ExpressionWrapper:
    return ExpressionWrapper(
        Coalesce("last_backup_at", "created_at") + _duration(hours),
        output_field=DateTimeField(null=True),
    )


def _duration(hours: str) -> ExpressionWrapper:
    return ExpressionWrapper(F(hours) * Value(timedelta(hours=1)), output_field=DurationField())
