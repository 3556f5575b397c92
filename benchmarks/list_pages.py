"""How long the pages of the API's lists take with 50 000 devices.

Asked is each list for its first page, for one deep inside it, and with a search, a filter and an
order, until the JSON is there. Every page has to take under 150 ms and under 12 queries.

    python -m benchmarks.list_pages [--devices 50000] [--rounds 10]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.database import own_database
from benchmarks.report import print_versions

if TYPE_CHECKING:  # models can be imported only once the database is there
    from django.test import Client

    from jobs.models import JobRun

AIM_MS = 150
AIM_QUERIES = 12
_AT_ONCE = 5_000
_TAGS = 50
_RUNS = 100
_PAGES = (
    "devices/?size=50",
    "devices/?size=50&page={deep}",
    "devices/?size=50&ordering=-updated_at",
    "devices/?size=50&ordering=platform&page={deep}",
    "devices/?size=50&search=bench-0123",
    "devices/?size=50&tags=tag7",
    "devices/?size=50&zone=zone3&hostname__icontains=77",
    "tags/?size=50",
    "zones/?size=50",
    "credentials/?size=50",
    "jobs/?size=50",
    "jump-hosts/?size=50",
    "platforms/?size=50",
    "runs/?size=50",
    "device-results/?size=50",
    "device-results/?size=50&status=FAILED&ordering=-finished_at",
    "device-results/?size=50&run={run}",
    "snapshots/?size=50",
    "snapshots/?size=50&tag=tag7",
    "logs/?size=50",
    "logs/?size=50&run_id={run}&level=error",
    "archives/?size=50",
    "suspects/?size=50",
    "platform-detections/?size=50",
    "users/?size=50",
    "audit/?size=50",
)


@dataclass(frozen=True, slots=True)
class _Measured:
    page: str
    milliseconds: float
    best: float
    queries: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    print_versions("Django", "djangorestframework", "psycopg")
    with own_database():
        run = _fill(options.devices)
        client = _client()
        deep = max(1, options.devices // 100)
        print(f"{'median ms':>9} {'best ms':>7} {'queries':>7}  page")
        measured = [
            _measure(client, page.format(deep=deep, run=run), options.rounds) for page in _PAGES
        ]
    slowest = max(measured, key=lambda one: one.milliseconds)
    most = max(measured, key=lambda one: one.queries)
    is_reached = slowest.milliseconds < AIM_MS and most.queries < AIM_QUERIES
    print(f"slowest: {slowest.milliseconds:.0f} ms ({slowest.page})")
    print(f"most queries: {most.queries} ({most.page})")
    aim = f"under {AIM_MS} ms and under {AIM_QUERIES} queries"
    print(f"aim of {aim}: {'reached' if is_reached else 'MISSED'}")


def _measure(client: Client, page: str, rounds: int) -> _Measured:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        _ask(client, page)
    queries = len(captured)  # before further requests empty the log
    times = [_ask(client, page) for _ in range(rounds)]
    found = _Measured(page, statistics.median(times), min(times), queries)
    print(f"{found.milliseconds:9.1f} {found.best:7.1f} {found.queries:7}  {found.page}")
    return found


def _ask(client: Client, page: str) -> float:
    """Milliseconds that the page took."""
    begin = time.perf_counter()
    answer = client.get(f"/api/v1/{page}")
    taken = 1000 * (time.perf_counter() - begin)
    if answer.status_code != 200:
        raise SystemExit(f"{page} was answered with {answer.status_code}")
    return taken


def _client() -> Client:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create(username="bench", is_superuser=True))
    return client


def _fill(count: int) -> int:
    """So many devices with a tag, a zone, a revision, a result and log lines each; the last run."""
    from django.db import connection

    devices = _devices(count)
    run = _history(devices)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return run


def _devices(count: int) -> list[Any]:
    from credentials.services import credential_create, tags_ensure
    from inventory.models import Device, Zone

    tags = tags_ensure(names=[f"tag{number}" for number in range(_TAGS)])
    login = credential_create(name="bench", username="bench", password="bench", tags=tags)
    zones = Zone.objects.bulk_create(Zone(name=f"zone{number}") for number in range(10))
    devices = Device.objects.bulk_create(
        (
            Device(
                hostname=f"bench-{number:06}",
                ip_address=f"198.18.{number // 256 % 256}.{number % 256}",
                platform="cisco_ios" if number % 3 else "juniper_junos",
                zone=zones[number % 10],
                credential=login if number % 100 == 0 else None,
            )
            for number in range(count)
        ),
        batch_size=_AT_ONCE,
    )
    carried = Device.tags.through
    carried.objects.bulk_create(
        (
            carried(device_id=device.pk, tag_id=tags[number % _TAGS].pk)
            for number, device in enumerate(devices)
        ),
        batch_size=_AT_ONCE,
    )
    return devices


def _history(devices: list[Any]) -> int:
    """A revision, a result and a line of a run's log for each device; the last run's id."""
    from django.utils import timezone

    now = timezone.now()
    runs = _runs(now)
    _revisions(devices, now)
    _results(devices, runs, now)
    _lines(devices, runs)
    return int(runs[-1].pk)


def _runs(now: datetime) -> list[JobRun]:
    from jobs.models import Job, JobRun

    jobs = Job.objects.bulk_create(Job(name=f"job{number}") for number in range(_RUNS))
    return JobRun.objects.bulk_create(
        JobRun(
            job=job,
            job_name=job.name,
            status="COMPLETED_PARTIAL_FAILURE",
            trigger="schedule",
            queued_at=now,
            started_at=now,
            finished_at=now,
            deadline_at=now + timedelta(hours=1),
        )
        for job in jobs
    )


def _revisions(devices: list[Any], now: datetime) -> None:
    from backups.models import Snapshot, SnapshotState

    Snapshot.objects.bulk_create(
        (
            Snapshot(
                device=device,
                state=SnapshotState.COMMITTED,
                content_sha256=f"{number:064}",
                path=f"{device.pk}",
                commit=f"{device.pk:040}",
                blob=f"{device.pk:040}",
                size_bytes=50_000,
                line_count=1500,
                collected_at=now - timedelta(seconds=number),
                is_projected=True,
            )
            for number, device in enumerate(devices)
        ),
        batch_size=_AT_ONCE,
    )


def _results(devices: list[Any], runs: list[JobRun], now: datetime) -> None:
    from jobs.models import DeviceResult

    DeviceResult.objects.bulk_create(
        (
            DeviceResult(
                run=runs[number % _RUNS],
                device=device,
                hostname=device.hostname,
                status="SUCCEEDED" if number % 50 else "FAILED",
                attempts=1,
                queued_at=now,
                started_at=now,
                finished_at=now,
            )
            for number, device in enumerate(devices)
        ),
        batch_size=_AT_ONCE,
    )


def _lines(devices: list[Any], runs: list[JobRun]) -> None:
    from jobs.models import ConnectionLog, JobLog

    lines = (
        (runs[number % _RUNS], device, "error" if number % 50 == 0 else "info")
        for number, device in enumerate(devices)
    )
    ConnectionLog.objects.bulk_create(
        (
            ConnectionLog(run=run, device=device, attempt=1, level=level, message="connected")
            for run, device, level in lines
        ),
        batch_size=_AT_ONCE,
    )
    JobLog.objects.bulk_create(JobLog(run=run, level="info", message="began") for run in runs)


if __name__ == "__main__":
    main()
