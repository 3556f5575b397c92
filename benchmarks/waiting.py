"""Devices that take two seconds for each command: how close a run comes to the ideal.

Sessions are real SSH sessions with simulated devices. A run over one device says how long a device
takes; the ideal is that time for each round of as many devices as are read at once. Printed are
also the memory of a waiting session and the most connections that PostgreSQL had. Aim: 1.25 times
the ideal. Clients, servers and simulated devices share the cores.

    python -m benchmarks.waiting [--quick] [--devices 500] [--workers 2x50]
"""

from __future__ import annotations

import argparse
import math
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.database import own_database
from benchmarks.fleet import own_broker
from benchmarks.report import print_versions, run_to_its_end
from benchmarks.workers import memory_of_workers, own_workers
from netraven_site.demo.simulator import DeviceSpec, Fault, FaultKind, SimulatorProcess

if TYPE_CHECKING:
    from jobs.models import JobRun

_PACKAGES = ("netmiko", "paramiko", "celery", "Django", "psycopg")
_SLOW = Fault(FaultKind.SLOW, 2000)
_AIM = 1.25
_LINES = 300


@dataclass(slots=True, kw_only=True)
class Watched:
    """What was seen during a run; seconds and MB."""

    seconds: float = 0.0
    sessions: int = 0
    memory: float = 0.0
    connections: int = 0


def main() -> None:
    options = _options()
    processes, threads = options.workers
    os.environ |= {
        "NETRAVEN_ALLOWED_NETWORKS": "127.0.0.0/8",
        "NETRAVEN_WORKER_PROCESSES": str(processes),
        "NETRAVEN_WORKER_CONCURRENCY": str(threads),
    }
    print_versions(*_PACKAGES)
    specs = _specs(options.devices + 1)
    with (
        SimulatorProcess(specs) as simulator,
        own_database() as data_dir,
        own_broker(data_dir) as redis_url,
    ):
        os.environ["REDIS_URL"] = redis_url
        with own_workers(data_dir):
            _add(specs[:1], simulator, "one")
            _add(specs[1:], simulator, "all")
            one = _run("one")
            before = memory_of_workers("devices")
            watched = _run("all")
    ideal = one.seconds * math.ceil(options.devices / (processes * threads))
    print(f"{options.devices} devices, {processes} processes of {threads} threads")
    print(f"  one device alone        {one.seconds:8.1f} s")
    print(f"  ideal for all           {ideal:8.1f} s")
    print(
        f"  measured                {watched.seconds:8.1f} s, {watched.seconds / ideal:.2f} times"
    )
    print(f"  aim                     {_AIM:8.2f} times")
    print(f"  sessions at once        {watched.sessions:8}")
    per_session = 1000 * (watched.memory - before) / max(watched.sessions, 1)
    print(f"  memory of a session     {per_session:8.0f} kB (workers {watched.memory:.0f} MB)")
    print(f"  database connections    {watched.connections:8} at the most")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="60 devices, 2 processes of 15")
    parser.add_argument(
        "--workers",
        type=lambda text: tuple(map(int, text.split("x"))),
        default=(2, 50),
        help="worker processes x threads",
    )
    options = parser.parse_args()
    if options.quick:
        options.devices, options.workers = 60, (2, 15)
    return options


def _specs(count: int) -> list[DeviceSpec]:
    password = secrets.token_urlsafe(12)
    return [
        DeviceSpec(
            hostname=f"slow-{number:04}",
            platform="cisco_ios",
            username="bench",
            password=password,
            lines=_LINES,
            fault=_SLOW,
        )
        for number in range(count)
    ]


def _add(specs: list[DeviceSpec], simulator: SimulatorProcess, name: str) -> None:
    """A job called ``name`` over the devices of ``specs``."""
    from credentials.services import credential_create, tags_ensure
    from inventory.models import Device
    from inventory.services import device_save
    from jobs.models import Job
    from jobs.schedules import job_save_scheduled

    tags = tags_ensure(names=[name])
    credential_create(name=name, username="bench", password=specs[0].password, tags=tags)
    for spec in specs:
        address, port = simulator.address(spec.hostname)
        device = Device(
            hostname=spec.hostname, ip_address=address, port=port, platform=spec.platform
        )
        device_save(device=device, tags=tags)
    job_save_scheduled(job=Job(name=name), tags=tags)


def _run(name: str) -> Watched:
    from jobs.models import Job

    watched = Watched()

    def look(run: JobRun) -> None:
        watched.connections = max(watched.connections, _connections())
        watched.memory = max(watched.memory, memory_of_workers("devices"))
        running = run.results.filter(status="RUNNING").count()
        watched.sessions = max(watched.sessions, running)

    run = run_to_its_end(Job.objects.get(name=name), look=look)
    watched.seconds = run.duration_seconds or 0.0
    return watched


def _connections() -> int:
    """Connections that PostgreSQL has to the database, this one excepted."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        row = cursor.fetchone()
    return int(row[0])


if __name__ == "__main__":
    main()
