"""Metrics about devices: how they fare, how long they take, how old their backups are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count
from django.db.models.functions import Now
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from backups.selectors.freshness import Freshness, freshness_report
from jobs.models import DeviceResult, JobRun, PhaseDuration
from jobs.monitoring.families import labelled, plain
from jobs.services.durations import BOUNDS

_DAY = timedelta(days=1)


def fleet_metrics() -> Iterator[Metric]:
    """Four queries."""
    yield _by_place()
    yield _phases()
    yield from _freshness_metrics()


def _by_place() -> GaugeMetricFamily:
    day = JobRun.objects.filter(created_at__gt=Now() - _DAY)
    rows = (
        DeviceResult.objects.filter(run__in=day, device__isnull=False)
        .order_by()
        .values_list("status", "device__platform", "device__zone__name")
        .annotate(count=Count("pk"))
    )
    return labelled(
        "netraven_device_results_last_day_by_place",
        "The same by status, platform and zone; an empty zone stands for none",
        ("status", "platform", "zone"),
        (((status, platform, zone or ""), count) for status, platform, zone, count in rows),
    )


def _phases() -> HistogramMetricFamily:
    """What the workers have counted since the installation was made."""
    counts: dict[str, dict[float, int]] = defaultdict(dict)
    seconds: dict[str, float] = defaultdict(float)
    for phase, le, count, total in PhaseDuration.objects.values_list(
        "phase", "le", "count", "seconds"
    ):
        counts[phase][le] = count
        seconds[phase] += total
    metric = HistogramMetricFamily(
        "netraven_phase_seconds",
        "How long backups took, by phase: connect, login, collect, redact, store",
        labels=["phase"],
    )
    for phase, of_phase in sorted(counts.items()):
        so_far, buckets = 0, list[tuple[str, float]]()
        for bound in sorted({*BOUNDS, *of_phase}):
            so_far += of_phase.get(bound, 0)
            buckets.append((floatToGoString(bound), float(so_far)))
        metric.add_metric([phase], buckets, seconds[phase])
    return metric


def _freshness_metrics() -> Iterator[GaugeMetricFamily]:
    report = freshness_report()
    yield labelled(
        "netraven_devices_by_freshness",
        "Active devices, by whether their last backup is young enough",
        ("state",),
        (((state,), report.counts.of(state)) for state in Freshness),
    )
    yield plain(
        "netraven_devices_overdue",
        "Active devices whose next backup should have been there",
        report.counts.overdue,
    )
    yield labelled(
        "netraven_tag_devices_by_freshness",
        "The same by tag; a device counts for each of its tags",
        ("tag", "state"),
        (((one.tag, state), one.counts.of(state)) for one in report.tags for state in Freshness),
    )
    yield labelled(
        "netraven_tag_devices_overdue",
        "Active devices of a tag whose next backup should have been there",
        ("tag",),
        (((one.tag,), one.counts.overdue) for one in report.tags),
    )
    yield labelled(
        "netraven_tag_objective_seconds",
        "How old the last backup of a device with the tag may be",
        ("tag",),
        (
            ((one.tag,), one.objective_hours * 3600)
            for one in report.tags
            if one.objective_hours is not None
        ),
    )
