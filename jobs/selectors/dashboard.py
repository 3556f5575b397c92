"""What the dashboard says of the last days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now, TruncDate
from django.utils import timezone

from backups.engine.errors import ErrorCategory
from backups.models import Snapshot, Suspect
from backups.selectors.suspects import suspects_open
from inventory.models import Device
from inventory.visibility import User, of_visible_devices
from jobs.choices import FAILURE_STATUSES
from jobs.models import DeviceResult, JobRun
from jobs.policy import advice_for
from jobs.selectors.visibility import as_seen, runs_visible_to

_NIGHT = timedelta(hours=24)
_DAYS = 14
_RUNS = 8
_SUSPECTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfChanges:
    """How many revisions with a change were collected on a day."""

    day: date
    changes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseOfFailures:
    """How many device results failed for a reason."""

    category: str
    words: str
    what_to_do: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTroubles:
    """Active devices that somebody should look at."""

    active: int
    #: Their running-config is not saved.
    unsaved: int
    #: The circuit breaker keeps them out of scheduled runs.
    left_out: int
    #: They show another host key than the one that is known.
    host_keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSuspects:
    """Outputs that wait for a decision."""

    count: int
    newest: Sequence[Suspect]


def runs_of_last_night(*, user: User) -> list[JobRun]:
    """The newest runs of the last 24 hours, with the counts that ``user`` sees. One query."""
    runs = runs_visible_to(user=user).filter(created_at__gt=Now() - _NIGHT)
    return [as_seen(run) for run in runs.select_related("requested_by").order_by("-pk")[:_RUNS]]


def changes_by_day(*, user: User) -> list[DayOfChanges]:
    """The last 14 days in the time zone of the installation, the oldest first. One query."""
    today = timezone.localdate()
    first = today - timedelta(days=_DAYS - 1)
    snapshots = of_visible_devices(queryset=Snapshot.objects.all(), user=user)
    rows = (
        snapshots.filter(collected_at__gte=timezone.now() - timedelta(days=_DAYS))
        .exclude(change_digest="")
        .order_by()
        .values_list(TruncDate("collected_at"))
        .annotate(count=Count("pk"))
    )
    counts = dict(rows)
    days = [first + timedelta(days=number) for number in range(_DAYS)]
    return [DayOfChanges(day=day, changes=counts.get(day, 0)) for day in days]


def failures_of_last_night(*, user: User) -> list[CauseOfFailures]:
    """Why devices failed in the runs of the last 24 hours, the most frequent first. One query."""
    runs = JobRun.objects.filter(created_at__gt=Now() - _NIGHT)
    results = of_visible_devices(queryset=DeviceResult.objects.all(), user=user)
    rows = (
        results.filter(run__in=runs, status__in=FAILURE_STATUSES)
        .order_by()
        .values_list("error_category")
        .annotate(count=Count("pk"))
    )
    return [_cause(category, count) for category, count in sorted(rows, key=lambda row: -row[1])]


def device_troubles(*, devices: QuerySet[Device]) -> DeviceTroubles:
    """How many of ``devices`` need somebody. One query."""
    found = devices.filter(is_active=True).aggregate(
        active=Count("pk"),
        unsaved=Count("pk", filter=Q(has_unsaved_config=True)),
        left_out=Count("pk", filter=Q(skipped_until__gt=Now())),
        host_keys=Count("pk", filter=~Q(offered_host_key="")),
    )
    return DeviceTroubles(**found)


def open_suspects(*, user: User) -> OpenSuspects:
    """How many there are, and the newest of them. Two queries."""
    suspects = of_visible_devices(queryset=suspects_open(), user=user)
    count = suspects.count()
    return OpenSuspects(count=count, newest=list(suspects[:_SUSPECTS]) if count else ())


def _cause(category: str, count: int) -> CauseOfFailures:
    known = category in set(ErrorCategory)
    advice = advice_for(category)
    return CauseOfFailures(
        category=category if known else "",
        words=advice.many if count != 1 else advice.one,
        what_to_do=advice.what_to_do,
        count=count,
    )
