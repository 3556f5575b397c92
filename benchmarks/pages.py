"""How long the operator's pages take with many devices.

Each page is asked for by an operator until its HTML is there, in the process itself; how often the
database is asked stands beside it. It has to take under 200 ms and at most 12 queries.

    python -m benchmarks.pages [--devices 10000] [--rounds 15]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.database import own_database
from benchmarks.report import print_versions

if TYPE_CHECKING:  # models can be imported only once the database is there
    from django.test import Client

AIM_MS = 200
AIM_QUERIES = 12
_RUNS, _TAGS, _ZONES, _REVISIONS = 8, 40, 20, 4
_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Asked:
    """An address, and the element whose part is asked for; empty for the whole page."""

    address: str
    part: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    print_versions("Django", "psycopg")
    print(f"{given.devices} devices")
    with own_database():
        _collect_static_files()
        asked = _fill(given.devices)
        client = _client()
        print(f"{'page':66} {'queries':>7} {'median ms':>10} {'CPU ms':>7} {'KB':>6}")
        slow = [one for one in asked if not _measure(client, one, given.rounds)]
    verdict = "reached" if not slow else f"MISSED by {len(slow)} pages"
    print(f"aim of {AIM_MS} ms and {AIM_QUERIES} queries: {verdict}")


def _cpu_seconds() -> float:
    """CPU time of this process and of PostgreSQL, which other load lengthens less than the rest."""
    us = psutil.Process()
    times = [process.cpu_times() for process in (us, *us.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def _collect_static_files() -> None:
    """Pages ask for their names."""
    from django.core.management import call_command

    call_command("collectstatic", interactive=False, verbosity=0)


def _measure(client: Client, asked: Asked, rounds: int) -> bool:
    """Prints a line; gives whether the page is within the aim."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    headers = {"HX-Request": "true", "HX-Target": asked.part} if asked.part else {}
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(asked.address, headers=headers)
    asked_of_it = len(queries)  # before the next request forgets them
    if answer.status_code != 200:
        raise SystemExit(f"{asked.address} was answered with {answer.status_code}")
    times, cpu = [], []
    for _ in range(rounds):
        begin, begin_cpu = time.perf_counter(), _cpu_seconds()
        client.get(asked.address, headers=headers)
        times.append(1000 * (time.perf_counter() - begin))
        cpu.append(1000 * (_cpu_seconds() - begin_cpu))
    median = statistics.median(times)
    name = f"{asked.address} {asked.part}"
    size = len(answer.content) / 1000
    print(f"{name:66} {asked_of_it:7} {median:10.0f} {statistics.median(cpu):7.0f} {size:6.0f}")
    return median < AIM_MS and asked_of_it <= AIM_QUERIES


def _client() -> Client:
    from django.contrib.auth.models import Group, User
    from django.test import Client

    user = User.objects.create(username="bench", is_staff=True)
    user.groups.add(Group.objects.get(name="operator"))
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def _fill(count: int) -> list[Asked]:
    """Devices with their past, and what is asked of them."""
    from django.db import connection

    devices = _devices(count)
    _snapshots(devices)
    runs = _runs(devices)
    job = _job()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    device, open_run, ended = devices[count // 2].pk, runs[-1], runs[-2]
    return [
        Asked("/"),
        Asked("/", "nr-work"),
        Asked("/devices/"),
        Asked("/devices/?tag=tag1&zone=zone3&page=3"),
        Asked("/devices/?q=99"),
        Asked("/devices/?result=FAILED"),
        Asked("/devices/?freshness=stale"),
        Asked("/devices/?state=no_credential"),
        Asked("/devices/?ordering=backup"),
        Asked("/devices/?size=250"),
        Asked(f"/devices/{device}/"),
        Asked(f"/devices/{device}/credentials/"),
        Asked("/freshness/"),
        Asked("/freshness/", "nr-report"),
        Asked("/freshness/?freshness=stale&tag=tag1"),
        Asked("/jobs/"),
        Asked(f"/jobs/{job}/"),
        Asked("/runs/"),
        Asked(f"/runs/{open_run}/"),
        Asked(f"/runs/{open_run}/", "nr-live"),
        Asked(f"/runs/{open_run}/?show=done&page=100", "nr-live"),
        Asked(f"/runs/{open_run}/", "nr-forecast"),
        Asked(f"/runs/{ended}/"),
        Asked(f"/runs/{ended}/failures/", "nr-failures"),
        Asked("/changes/"),
        Asked("/logs/"),
        Asked("/logs/?level=error&search=route"),
        Asked("/credentials/"),
        Asked("/system/"),
        Asked("/system/", "nr-hand"),
        Asked("/system/", "nr-installation"),
    ]


def _devices(count: int) -> list[Any]:
    from credentials.models import Tag
    from credentials.services import credential_create
    from inventory.models import CredentialUse, Device, Zone

    tags = Tag.objects.bulk_create(
        Tag(name=f"tag{number}", freshness_hours=24 if number % 3 else None)
        for number in range(_TAGS)
    )
    zones = Zone.objects.bulk_create(Zone(name=f"zone{number}") for number in range(_ZONES))
    devices = Device.objects.bulk_create(
        (
            Device(
                hostname=f"device{number:05}",
                ip_address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                platform=("cisco_ios", "juniper_junos", "arista_eos")[number % 3],
                zone=zones[number % _ZONES],
            )
            for number in range(count)
        ),
        batch_size=_AT_ONCE,
    )
    through = Device.tags.through
    through.objects.bulk_create(
        (
            through(device_id=device.pk, tag_id=tags[(number * step) % _TAGS].pk)
            for number, device in enumerate(devices)
            for step in (1, 7, 13)
        ),
        batch_size=_AT_ONCE,
        ignore_conflicts=True,
    )
    credentials = [
        credential_create(name=f"c{n}", username="netops", password="Zq9", tags=tags[n::20])
        for n in range(10)
    ]
    CredentialUse.objects.bulk_create(
        (
            CredentialUse(
                device=device, credential=credentials[n % 10], last_success_at=device.created_at
            )
            for n, device in enumerate(devices)
        ),
        batch_size=_AT_ONCE,
    )
    return devices


def _snapshots(devices: list[Any]) -> None:
    from django.utils import timezone

    from backups.models import Snapshot, SnapshotState

    now = timezone.now()
    blobs = _store()
    Snapshot.objects.bulk_create(
        (
            Snapshot(
                device=device,
                state=SnapshotState.COMMITTED,
                content_sha256=f"{number:064}",
                path=f"{device.pk}",
                commit=f"{device.pk:020}{number:020}",
                blob=blobs[number],
                size_bytes=50_000,
                line_count=1500,
                lines_added=3,
                lines_removed=2,
                change_digest=sha256(bytes([device.pk % 50])).hexdigest() if number else "",
                run_id=number,
                job_name="nightly",
                collected_at=(collected := now - timedelta(days=3 * (_REVISIONS - number) - 2)),
                last_read_at=now - timedelta(hours=device.pk % 30) if number == 3 else collected,
                is_projected=True,
            )
            for device in devices
            for number in range(_REVISIONS)
        ),
        batch_size=_AT_ONCE,
    )


def _store() -> list[str]:
    """A Git store with the texts of all revisions; the devices have them in common."""
    from django.conf import settings

    git = ["git", "-C", str(settings.NETRAVEN.git_directory)]
    settings.NETRAVEN.git_directory.mkdir()
    subprocess.run([*git, "init", "--quiet", "--bare", "--initial-branch=main"], check=True)
    texts = ("\n".join(_config(number)).encode() + b"\n" for number in range(_REVISIONS))
    write = [*git, "hash-object", "-w", "--stdin"]
    return [
        subprocess.run(write, input=text, check=True, capture_output=True).stdout.decode().strip()
        for text in texts
    ]


def _config(revision: int) -> Iterator[str]:
    yield "hostname bench"
    for port in range(300):
        yield f"interface GigabitEthernet{port // 48}/0/{port % 48}"
        yield f" description port {port}, revision {revision if port in {10, 200, 290} else 0}"
        yield f" switchport access vlan {port % 100}"
        yield " spanning-tree portfast"
        yield "!"
    yield "end"


def _runs(devices: list[Any]) -> list[int]:
    """Ended runs over all devices and, as the last, one that is half way."""
    from django.utils import timezone

    from jobs.models import ConnectionLog, DeviceResult, JobRun

    now = timezone.now()
    ids = []
    for number in range(_RUNS):
        is_open = number == _RUNS - 1
        started = now - timedelta(hours=6 * (_RUNS - 1 - number), minutes=10)
        run = JobRun.objects.create(
            job_name="nightly",
            status="RUNNING" if is_open else "COMPLETED_PARTIAL_FAILURE",
            trigger="schedule",
            started_at=started,
            finished_at=None if is_open else started + timedelta(minutes=9),
            deadline_at=now + timedelta(hours=2),
            total_count=len(devices),
        )
        JobRun.objects.filter(pk=run.pk).update(created_at=started)
        states = itertools.cycle(_states(is_open=is_open))
        DeviceResult.objects.bulk_create(
            (_result(run, device, next(states), started) for device in devices),
            batch_size=_AT_ONCE,
        )
        ConnectionLog.objects.bulk_create(
            (
                ConnectionLog(
                    run=run,
                    device=device,
                    attempt=1,
                    level="info" if device.pk % 20 else "error",
                    message="connect 0.1 s, log-in 0.4 s" if device.pk % 20 else "no route to it",
                )
                for device in devices
            ),
            batch_size=_AT_ONCE,
        )
        ids.append(run.pk)
    return ids


def _states(*, is_open: bool) -> list[str]:
    if is_open:
        return ["SUCCEEDED"] * 9 + ["FAILED"] + ["PENDING"] * 9 + ["RUNNING"]
    return ["SUCCEEDED"] * 18 + ["FAILED", "SUSPECT"]


def _result(run: Any, device: Any, status: str, started: Any) -> Any:
    from jobs.models import DeviceResult

    failed = status == "FAILED"
    ended = status not in {"PENDING", "RUNNING"}
    return DeviceResult(
        run=run,
        device=device,
        hostname=device.hostname,
        status=status,
        attempts=int(status != "PENDING"),
        lease_until=run.deadline_at if status == "RUNNING" else None,
        started_at=started if status != "PENDING" else None,
        finished_at=started + timedelta(minutes=5) if ended else None,
        duration_seconds=4.0 + device.pk % 7 if ended else None,
        error_category="connection_timeout" if failed else "",
        error_message=f"{device.ip_address} port 22 did not answer" if failed else "",
        config_changed=False if status == "SUCCEEDED" else None,
    )


def _job() -> int:
    from credentials.models import Tag
    from jobs.models import Job
    from jobs.schedules import job_save_scheduled

    job = Job(name="nightly", schedule_type="cron", cron="0 2 * * *", time_zone="Europe/Berlin")
    job_save_scheduled(job=job, tags=Tag.objects.all()[:20])
    return int(job.pk)


if __name__ == "__main__":
    main()
