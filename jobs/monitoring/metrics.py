"""The metrics in Prometheus' form, read from the database and the broker at each scrape.

So they are right with any number of web processes, and after each restart. docs/metrics.md lists
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.db.models import Count, Q, Sum
from django.db.models.functions import Now
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from inventory.models import Device
from jobs.choices import OPEN_RUN_STATUSES, ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.monitoring.facts import SystemFacts, system_facts
from jobs.monitoring.families import labelled, plain
from jobs.monitoring.fleet_metrics import fleet_metrics
from jobs.monitoring.store_metrics import store_metrics

_DAY = timedelta(days=1)
#: The columns of a run that count its devices, by the status that they count.
_COUNTED = (
    ResultStatus.SUCCEEDED,
    ResultStatus.FAILED,
    ResultStatus.ERRORED,
    ResultStatus.SUSPECT,
    ResultStatus.SKIPPED,
    ResultStatus.CANCELLED,
)


def metrics_text() -> bytes:
    """All metrics in the text format 0.0.4: some twenty queries, and one round trip to the
    broker."""
    registry = CollectorRegistry()
    registry.register(_NetRaven())
    return generate_latest(registry)


class _NetRaven(Collector):
    """Asks at each scrape."""

    def describe(self) -> Iterable[Metric]:
        """Nothing: to be registered must not ask the database."""
        return ()

    def collect(self) -> Iterator[Metric]:
        facts = system_facts()
        yield from _run_metrics(facts)
        yield _last_day()
        yield from _broker_metrics(facts)
        yield from _worker_metrics(facts)
        yield from _storage_metrics(facts)
        yield from _device_metrics()
        yield from fleet_metrics()
        yield from store_metrics()


def _run_metrics(facts: SystemFacts) -> Iterator[GaugeMetricFamily]:
    sums = [Sum(f"{status.lower()}_count") for status in _COUNTED]
    rows = JobRun.objects.order_by().values_list("status").annotate(Count("pk"), *sums)
    counts: dict[str, int] = {}
    devices: Counter[ResultStatus] = Counter()
    for status, count, *summed in rows:
        counts[status] = count
        devices.update(dict(zip(_COUNTED, summed, strict=True)))
    yield labelled(
        "netraven_runs",
        "Runs that are kept, by status",
        ("status",),
        (((status,), counts.get(status, 0)) for status in RunStatus),
    )
    yield labelled(
        "netraven_run_devices",
        "Devices of the ended runs that are kept, by status",
        ("status",),
        (((status,), devices[status]) for status in _COUNTED),
    )
    yield plain("netraven_open_runs", "Runs that have not ended", len(facts.open_runs))
    oldest = max((run.age_seconds for run in facts.open_runs), default=0.0)
    yield plain(
        "netraven_oldest_open_run_age_seconds", "Since the oldest open run was asked for", oldest
    )


def _last_day() -> GaugeMetricFamily:
    day = JobRun.objects.filter(created_at__gt=Now() - _DAY)
    rows = (
        DeviceResult.objects.filter(run__in=day)
        .order_by()
        .values_list("status", "error_category")
        .annotate(count=Count("pk"))
    )
    return labelled(
        "netraven_device_results_last_day",
        "Devices of the runs asked for within the last day, by status and error category",
        ("status", "error_category"),
        (((status, category), count) for status, category, count in rows),
    )


def _broker_metrics(facts: SystemFacts) -> Iterator[GaugeMetricFamily]:
    broker = facts.broker
    yield plain("netraven_broker_up", "Whether the broker answers", int(broker.is_up))
    yield plain("netraven_unacked_messages", "Messages taken and not yet confirmed", broker.unacked)
    yield labelled(
        "netraven_queue_messages",
        "Messages that no worker has taken, by queue",
        ("queue",),
        (((queue.name,), queue.depth) for queue in facts.queues if queue.depth is not None),
    )
    yield labelled(
        "netraven_queue_waiting",
        "Devices, or runs in control, that wait for a worker to begin them, by queue",
        ("queue",),
        (((queue.name,), queue.waiting) for queue in facts.queues),
    )
    yield labelled(
        "netraven_queue_oldest_age_seconds",
        "How long the oldest of them has waited, by queue",
        ("queue",),
        (((queue.name,), queue.oldest_seconds or 0.0) for queue in facts.queues),
    )
    yield labelled(
        "netraven_queue_workers",
        "Worker processes that are alive and serve the queue",
        ("queue",),
        (((queue.name,), queue.workers) for queue in facts.queues),
    )


def _worker_metrics(facts: SystemFacts) -> Iterator[GaugeMetricFamily]:
    alive = [worker for worker in facts.workers if worker.is_alive]
    counts = {"alive": len(alive), "dead": len(facts.workers) - len(alive)}
    yield labelled(
        "netraven_workers",
        "Worker processes of the last day, by whether they are alive",
        ("state",),
        (((state,), count) for state, count in counts.items()),
    )
    yield labelled(
        "netraven_worker_busy",
        "Tasks that a worker process works on",
        ("node",),
        (((worker.node,), worker.busy) for worker in alive),
    )
    yield labelled(
        "netraven_worker_capacity",
        "Tasks that a worker process works on at once at the most",
        ("node",),
        (((worker.node,), worker.concurrency) for worker in alive),
    )


def _storage_metrics(facts: SystemFacts) -> Iterator[GaugeMetricFamily]:
    yield plain(
        "netraven_reconciler_age_seconds",
        "Since the reconciler last went round",
        facts.reconciler_seconds,
    )
    yield plain(
        "netraven_pending_snapshots", "Snapshots that are not in Git", facts.pending_snapshots
    )
    yield plain(
        "netraven_oldest_pending_snapshot_age_seconds",
        "Since the oldest snapshot that is not in Git was collected",
        facts.pending_seconds or 0.0,
    )


def _device_metrics() -> Iterator[GaugeMetricFamily]:
    devices = Device.objects.aggregate(
        active=Count("pk", filter=Q(is_active=True)),
        inactive=Count("pk", filter=Q(is_active=False)),
        left_out=Count("pk", filter=Q(is_active=True, skipped_until__gt=Now())),
    )
    yield labelled(
        "netraven_devices",
        "Devices, by whether they take part in runs",
        ("state",),
        (((state,), devices[state]) for state in ("active", "inactive")),
    )
    yield plain(
        "netraven_devices_circuit_open",
        "Devices that their circuit breaker leaves out of scheduled runs",
        devices["left_out"],
    )
    aside = RunCredential.objects.filter(
        set_aside_at__isnull=False, run__status__in=OPEN_RUN_STATUSES
    )
    yield plain(
        "netraven_credentials_set_aside",
        "Credentials that open runs have set aside, counted by run",
        aside.count(),
    )
