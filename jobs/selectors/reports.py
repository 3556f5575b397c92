"""What is to be told of one run: facts that fit on a page, and rows that come one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Aggregate, Count, F, FloatField, Q, QuerySet, Value
from django.db.models.functions import Coalesce

from backups.engine.errors import ErrorCategory
from inventory.models import Device
from jobs.choices import ResultStatus
from jobs.models import DeviceResult, JobRun, RunCredential
from jobs.selectors.failures import FailureGroup, failure_groups
from jobs.selectors.visibility import results_in

_SLOWEST = 10
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialFigures:
    """How one credential fared in one run."""

    name: str
    devices: int
    succeeded: int
    #: Devices that refused it.
    refused: int
    #: When the run stopped using it, and why; None and empty while it was used.
    set_aside_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """Seconds per device, from its first attempt to its end; None where no device was tried."""

    median: float | None
    p95: float | None
    #: Hostname and seconds, the slowest first.
    slowest: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What a report of a run says before it comes to single devices."""

    run: JobRun
    #: Devices by status, also of a run that is still open.
    devices: dict[str, int]
    #: Devices that a credential was found for.
    with_credential: int
    credentials: tuple[CredentialFigures, ...]
    durations: Durations
    failures: tuple[FailureGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """One device of a run as reports show it. Texts are empty where there is nothing to say."""

    hostname: str
    status: str
    config_changed: bool | None
    lines_added: int | None
    lines_removed: int | None
    commit: str
    error_category: str
    error_message: str
    attempts: int
    duration_seconds: float | None
    started_at: datetime | None
    finished_at: datetime | None
    credential: str
    #: Of today's inventory; empty for a deleted device.
    zone: str
    platform: str


class _Percentile(Aggregate):
    """PostgreSQL's ``percentile_cont``; rows without a value do not count."""

    name = "percentile"
    function = "percentile_cont"
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


def run_facts(*, run: JobRun, scope: QuerySet[Device] | None = None) -> RunFacts:
    """All that a report says of ``run`` as a whole, in a constant number of queries.

    With a ``scope`` it is about the devices in it; what names other devices is left out.
    """
    results = results_in(run=run, scope=scope)
    counts = results.order_by().values_list("status").annotate(Count("pk"))
    return RunFacts(
        run=run,
        devices=dict(counts),
        with_credential=results.filter(credential__isnull=False).count(),
        credentials=tuple(_credentials(run, results, with_reasons=scope is None)),
        durations=_durations(results),
        failures=tuple(failure_groups(run=run, scope=scope)),
    )


def run_device_rows(*, run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[DeviceRow]:
    """Every device of ``run`` in ``scope`` by hostname; read from the database bit by bit."""
    return _device_rows(results_in(run=run, scope=scope))


def run_changed_rows(*, run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[DeviceRow]:
    """The devices of ``run`` whose configuration is new, by hostname."""
    return _device_rows(results_in(run=run, scope=scope).filter(config_changed=True))


def run_skipped_rows(*, run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[DeviceRow]:
    """The devices that ``run`` left out, by hostname."""
    return _device_rows(results_in(run=run, scope=scope).filter(status=ResultStatus.SKIPPED))


def _device_rows(results: QuerySet[DeviceResult]) -> Iterator[DeviceRow]:
    rows = results.order_by("hostname", "pk").values_list(
        "hostname",
        "status",
        "config_changed",
        "snapshot__lines_added",
        "snapshot__lines_removed",
        Coalesce(F("snapshot__commit"), Value("")),
        "error_category",
        "error_message",
        "attempts",
        "duration_seconds",
        "started_at",
        "finished_at",
        Coalesce(F("credential__name"), Value("")),
        Coalesce(F("device__zone__name"), Value("")),
        Coalesce(F("device__platform"), Value("")),
    )
    names = tuple(DeviceRow.__dataclass_fields__)
    for row in rows.iterator(chunk_size=_ROWS_AT_ONCE):
        yield DeviceRow(**dict(zip(names, row, strict=True)))


def _credentials(
    run: JobRun, results: QuerySet[DeviceResult], *, with_reasons: bool
) -> Iterator[CredentialFigures]:
    known = {
        row.credential_id: row
        for row in RunCredential.objects.filter(run=run, set_aside_at__isnull=False)
    }
    figures = (
        results.filter(credential__isnull=False)
        .order_by("credential__name")
        .values_list("credential_id", "credential__name")
        .annotate(
            devices=Count("pk"),
            succeeded=Count("pk", filter=Q(status=ResultStatus.SUCCEEDED)),
            refused=Count("pk", filter=Q(error_category=ErrorCategory.AUTHENTICATION)),
        )
    )
    for credential_id, name, devices, succeeded, refused in figures:
        aside = known.get(credential_id)
        yield CredentialFigures(
            name=name,
            devices=devices,
            succeeded=succeeded,
            refused=refused,
            set_aside_at=aside.set_aside_at if aside else None,
            reason=aside.reason if aside and with_reasons else "",
        )


def _durations(results: QuerySet[DeviceResult]) -> Durations:
    timed = results.filter(duration_seconds__isnull=False)
    figures = timed.aggregate(
        median=_Percentile("duration_seconds", share=0.5),
        p95=_Percentile("duration_seconds", share=0.95),
    )
    slowest = timed.order_by("-duration_seconds", "hostname")[:_SLOWEST]
    return Durations(
        median=figures["median"],
        p95=figures["p95"],
        slowest=tuple((row.hostname, row.duration_seconds or 0.0) for row in slowest),
    )
