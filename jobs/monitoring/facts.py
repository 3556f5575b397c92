"""What the database and the broker say about the work that is under way.

Ages are seconds by the database's clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import (
    BooleanField,
    Case,
    Count,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Min,
    OuterRef,
    Q,
    Value,
    When,
)
from django.db.models.functions import Extract, Now

from backups.models import Snapshot, SnapshotState, StoreCheck
from inventory.models import Device, Zone
from jobs.choices import FINAL_RESULT_STATUSES, ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun, ReconcilerTick, RunCredential, Tick
from jobs.monitoring.broker import BrokerState, broker_state
from jobs.queues import (
    CONTROL_QUEUE,
    DEVICES_QUEUE,
    FIXED_QUEUES,
    ISOLATED_QUEUE,
    zone_queue,
)
from jobs.selectors.runs import runs_open
from jobs.selectors.workers import workers_known

_PENDING, _COMMITTED, _TICK, _CHECK = "pending", "committed", "tick", "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """A worker process that gave a sign of life within the last day."""

    node: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    #: Tasks that it works on.
    busy: int
    is_alive: bool
    started_at: datetime
    seen_at: datetime
    seen_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """A queue, also one that is empty or that nobody serves."""

    name: str
    #: Messages that no worker has taken; None while the broker is down.
    depth: int | None
    #: Devices, or runs in ``control``, that a message was sent for and no worker has begun.
    waiting: int
    #: Since when the oldest of them waits; None where none does.
    oldest_seconds: float | None
    #: Worker processes that are alive and serve it.
    workers: int
    #: Whether anything may ever come into it: a zone may have no active device.
    is_needed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRunFacts:
    """A run that has not ended."""

    id: int
    job_name: str
    status: str
    age_seconds: float
    total: int
    #: Devices that have ended, however.
    done: int
    deadline_at: datetime
    is_late: bool
    #: Since its message was sent, while no worker has begun it; None otherwise.
    waiting_seconds: float | None
    #: Whether it has set aside a credential.
    has_set_aside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemFacts:
    """All that is under way at this moment."""

    broker: BrokerState
    queues: tuple[QueueFacts, ...]
    workers: tuple[WorkerFacts, ...]
    #: The oldest first.
    open_runs: tuple[OpenRunFacts, ...]
    #: Since the reconciler last went round; None where it never did.
    reconciler_seconds: float | None
    pending_snapshots: int
    #: Since the oldest snapshot that is not in Git was collected; None where none waits.
    pending_seconds: float | None
    #: Whether any snapshot is in Git.
    has_commits: bool
    #: Rows that the last check of the store found wrong.
    stored_wrong: int
    #: Since that check; None where there was none.
    check_seconds: float | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    count: int
    seconds: float | None


def system_facts() -> SystemFacts:
    """Five queries and one round trip to the broker, however much is under way."""
    zones = dict(
        Zone.objects.order_by("name")
        .annotate(is_needed=Exists(Device.objects.filter(zone=OuterRef("pk"), is_active=True)))
        .values_list("name", "is_needed")
    )
    needed = dict.fromkeys(FIXED_QUEUES, True) | {
        zone_queue(name): is_needed for name, is_needed in zones.items()
    }
    broker = broker_state(queues=tuple(needed))
    workers = tuple(_workers())
    runs = tuple(_open_runs())
    ages = _ages()
    pending, tick = ages.get(_PENDING, _Waiting(0, None)), ages.get(_TICK)
    check = ages.get(_CHECK, _Waiting(0, None))
    return SystemFacts(
        broker=broker,
        queues=tuple(_queues(needed, broker, workers, runs)),
        workers=workers,
        open_runs=runs,
        reconciler_seconds=None if tick is None else tick.seconds,
        pending_snapshots=pending.count,
        pending_seconds=pending.seconds,
        has_commits=_COMMITTED in ages,
        stored_wrong=check.count,
        check_seconds=check.seconds,
    )


def _ages() -> dict[str, _Waiting]:
    """How many snapshots wait for Git and for how long, when the reconciler went round, and what
    the last check of the store found.

    What there is nothing of is left out; of the committed snapshots only that there are some.
    """
    snapshots = Snapshot.objects.order_by()
    pending = (
        snapshots.filter(state=SnapshotState.PENDING)
        .values(what=Value(_PENDING))
        .annotate(count=Count("pk"), seconds=_age(Min("collected_at")))
    )
    committed = snapshots.filter(state=SnapshotState.COMMITTED).values_list(
        Value(_COMMITTED), Value(1), _age(F("collected_at"))
    )
    tick = ReconcilerTick.objects.filter(pk=Tick.RECONCILE).values_list(
        Value(_TICK), Value(1), _age(F("last_at"))
    )
    check = StoreCheck.objects.values_list(Value(_CHECK), "problem_count", _age(F("checked_at")))
    known = (committed[:1], tick, check)
    rows = pending.values_list("what", "count", "seconds").union(*known, all=True)
    return {what: _Waiting(count, seconds) for what, count, seconds in rows}


def _age(since: F | Min) -> Extract:
    return Extract(ExpressionWrapper(Now() - since, output_field=DurationField()), "epoch")


def _workers() -> Iterable[WorkerFacts]:
    for row in workers_known().annotate(seen_seconds=_age(F("seen_at"))):
        yield WorkerFacts(
            node=row.node,
            host=row.host,
            pid=row.pid,
            queues=row.queues,
            concurrency=row.concurrency,
            busy=row.busy,
            is_alive=row.is_alive,
            started_at=row.started_at,
            seen_at=row.seen_at,
            seen_seconds=float(row.seen_seconds),
        )


def _queues(
    needed: dict[str, bool],
    broker: BrokerState,
    workers: Sequence[WorkerFacts],
    runs: Sequence[OpenRunFacts],
) -> Iterable[QueueFacts]:
    waiting = _waiting_devices() | {CONTROL_QUEUE: _waiting_runs(runs)}
    served = Counter(queue for worker in workers if worker.is_alive for queue in worker.queues)
    for name, is_needed in needed.items():
        here = waiting.get(name, _Waiting(0, None))
        yield QueueFacts(
            name=name,
            depth=broker.depths.get(name),
            waiting=here.count,
            oldest_seconds=here.seconds,
            workers=served[name],
            is_needed=is_needed,
        )


def _waiting_devices() -> dict[str, _Waiting]:
    """By queue; a device without a zone that cost a worker its life waits apart."""
    rows = (
        DeviceResult.objects.filter(
            status=ResultStatus.PENDING,
            parked_at=None,
            queued_at__isnull=False,
            run__in=JobRun.objects.filter(status=RunStatus.RUNNING),
        )
        .order_by()
        .annotate(
            is_isolated=ExpressionWrapper(
                Q(device__zone=None, losses__gt=0), output_field=BooleanField()
            )
        )
        .values_list("device__zone__name", "is_isolated")
        .annotate(count=Count("pk"), seconds=_age(Min("queued_at")))
    )
    waiting = {}
    for zone, is_isolated, count, seconds in rows:
        plain = ISOLATED_QUEUE if is_isolated else DEVICES_QUEUE
        waiting[plain if zone is None else zone_queue(zone)] = _Waiting(count, seconds)
    return waiting


def _waiting_runs(runs: Sequence[OpenRunFacts]) -> _Waiting:
    ages = [run.waiting_seconds for run in runs if run.waiting_seconds is not None]
    return _Waiting(len(ages), max(ages, default=None))


def _open_runs() -> Iterable[OpenRunFacts]:
    aside = RunCredential.objects.filter(run=OuterRef("pk"), set_aside_at__isnull=False)
    done = Count("results", filter=Q(results__status__in=FINAL_RESULT_STATUSES))
    rows = (
        runs_open()
        .order_by("pk")
        .annotate(
            done=done,
            age=_age(F("created_at")),
            has_set_aside=Exists(aside),
            waiting=Case(When(status=RunStatus.PENDING, then=_age(F("queued_at")))),
        )
    )
    for run in rows:
        yield OpenRunFacts(
            id=run.pk,
            job_name=run.job_name,
            status=run.status,
            age_seconds=float(run.age),
            total=run.total_count,
            done=run.done,
            deadline_at=run.deadline_at,
            is_late=run.is_late,
            has_set_aside=run.has_set_aside,
            waiting_seconds=None if run.waiting is None else float(run.waiting),
        )
