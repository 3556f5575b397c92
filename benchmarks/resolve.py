"""What it costs to find the credentials of all devices of a run, as the run grows.

Each device has three tags with two credentials each; every tenth has a credential of its own, half
are in a zone with a default, and each remembers one that worked and one that it refused. Timed are
the resolver by itself, for all devices at once, and the step of a run, which also writes what it
chose and which limits apply. Aims for 10 000 devices: 2 s, and as many queries as for 1 000.

    python -m benchmarks.resolve [--quick] [--devices 1000,3000,10000]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.database import own_database
from benchmarks.report import print_versions, sizes_asked_for

if TYPE_CHECKING:
    from credentials.models import Credential, Tag
    from jobs.models import JobRun

_PACKAGES = ("Django", "psycopg")
_BATCH = 1000
#: Tags with two credentials each; one is shared by all devices, as sites have them.
_TAGS = 50


def main() -> None:
    sizes = sizes_asked_for(__doc__ or "", quick=(1000, 3000))
    print_versions(*_PACKAGES)
    print("devices  resolver s (CPU)  queries  step of the run s (CPU)  queries  credentials")
    with own_database():
        tags, credentials = _credentials()
        for count in sizes:
            _measure(_run_over(count, tags, credentials), count)


def _measure(run: JobRun, count: int) -> None:
    from inventory.resolution import credential_candidates
    from jobs.services.runs import run_resolve_credentials

    ids = [pk for pk in run.results.values_list("device_id", flat=True) if pk is not None]
    alone = _timed(lambda: credential_candidates(device_ids=ids))
    step = _timed(lambda: run_resolve_credentials(run=run))
    chosen = run.results.filter(credential__isnull=False)
    if chosen.count() != count:
        raise SystemExit(f"{chosen.count()} of {count} devices have a credential")
    different = chosen.order_by().values("credential").distinct().count()
    print(
        f"{count:7}  {alone[0]:8.2f} ({alone[1]:5.2f})  {alone[2]:7}  "
        f"{step[0]:15.2f} ({step[1]:5.2f})  {step[2]:7}  {different:11}",
        flush=True,
    )


def _timed(work: Callable[[], object]) -> tuple[float, float, int]:
    """Seconds on the wall and of CPU that ``work`` takes, and how many queries it asks."""
    from django.db import connection

    queries = 0

    def count(execute: Callable[..., object], *arguments: object) -> object:
        nonlocal queries
        queries += 1
        return execute(*arguments)

    connection.ensure_connection()
    with connection.execute_wrapper(count):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - begin, time.process_time() - begin_cpu, queries


def _credentials() -> tuple[list[Tag], list[Credential]]:
    from credentials.services import credential_create, tags_ensure

    tags = tags_ensure(names=[f"site-{number:02}" for number in range(_TAGS)])
    credentials = [
        credential_create(
            name=f"{tag.name}-{number}", username="netops", password=f"pw{number}", tags=[tag]
        )
        for tag in tags
        for number in range(2)
    ]
    return tags, credentials


def _run_over(count: int, tags: list[Tag], credentials: list[Credential]) -> JobRun:
    from django.utils import timezone

    from inventory.models import CredentialUse, Device, Zone
    from jobs.models import DeviceResult, Job, JobRun

    now = timezone.now()
    zone, _ = Zone.objects.get_or_create(name="far", default_credential=credentials[-1])
    devices = Device.objects.bulk_create(
        (
            Device(
                hostname=f"sw{count}-{number:05}",
                ip_address="192.0.2.1",
                platform="cisco_ios",
                zone=zone if number % 2 else None,
                credential=credentials[number % len(credentials)] if number % 10 == 0 else None,
            )
            for number in range(count)
        ),
        batch_size=_BATCH,
    )
    through = Device.tags.through
    through.objects.bulk_create(
        (
            through(device_id=device.pk, tag_id=tags[(number * step) % _TAGS].pk)
            for number, device in enumerate(devices)
            for step in _steps(number)
        ),
        batch_size=_BATCH,
        ignore_conflicts=True,
    )
    CredentialUse.objects.bulk_create(
        (
            CredentialUse(device=device, credential=login, **{field: now})
            for number, device in enumerate(devices)
            for field, login in _uses(number, credentials)
        ),
        batch_size=_BATCH,
    )
    job = Job.objects.create(name=f"bench-{count}")
    run = JobRun.objects.create(
        job=job, job_name=job.name, status="RUNNING", started_at=now, deadline_at=now
    )
    DeviceResult.objects.bulk_create(
        (DeviceResult(run=run, device=one, hostname=one.hostname) for one in devices),
        batch_size=_BATCH,
    )
    return run


def _steps(number: int) -> tuple[int, ...]:
    return (1, 7, 13) if number % _TAGS else (1,)


def _uses(number: int, credentials: list[Credential]) -> list[tuple[str, Credential]]:
    tag = number % _TAGS
    return [
        ("last_failure_at", credentials[2 * tag]),
        ("last_success_at", credentials[2 * tag + 1]),
    ]


if __name__ == "__main__":
    main()
