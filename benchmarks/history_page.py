"""How long a page of a device's history takes, as its history grows.

Asked is the API for the newest 50 revisions of one device among many rows, until the JSON is there.
It has to take under 100 ms, and as long with 1 000 revisions as with 10.

    python -m benchmarks.history_page [--rounds 50]
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from benchmarks.database import own_database
from benchmarks.report import print_versions

if TYPE_CHECKING:  # models can be imported only once the database is there
    from django.test import Client

    from inventory.models import Device

AIM_MS = 100
_REVISIONS = (10, 50, 100, 1_000, 10_000)
#: Devices beside those that are asked for, and how many revisions each of them has.
_OTHERS, _OTHERS_REVISIONS = 1_000, 50
_AT_ONCE = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    print_versions("Django", "djangorestframework", "psycopg")
    with own_database():
        devices = _fill()
        client = _client()
        print(f"{'revisions':>9} {'in the page':>11} {'median ms':>10} {'p95 ms':>7}")
        medians = _measure(client, devices, rounds)
    ratio = medians[1_000] / medians[50]
    print(f"1 000 revisions : 50 revisions = {ratio:.2f}")
    verdict = "reached" if max(medians.values()) < AIM_MS else "MISSED"
    print(f"aim of {AIM_MS} ms: {verdict}; the slowest took {max(medians.values()):.0f} ms")


def _measure(client: Client, devices: dict[int, Device], rounds: int) -> dict[int, float]:
    """Prints and gives the medians in milliseconds; the devices are asked for in turn."""
    times: dict[int, list[float]] = {count: [] for count in devices}
    shown = {count: _page(client, device)[1] for count, device in devices.items()}
    for _ in range(rounds):
        for count, device in devices.items():
            times[count].append(_page(client, device)[0])
    for count, taken in times.items():
        median, p95 = statistics.median(taken), sorted(taken)[int(0.95 * rounds)]
        print(f"{count:>9} {shown[count]:11} {median:10.1f} {p95:7.1f}")
    return {count: statistics.median(taken) for count, taken in times.items()}


def _page(client: Client, device: Device) -> tuple[float, int]:
    """Milliseconds that the first page took, and how many revisions stand in it."""
    begin = time.perf_counter()
    answer = client.get(f"/api/v1/devices/{device.pk}/history/?size=50")
    taken = 1000 * (time.perf_counter() - begin)
    if answer.status_code != 200:
        raise SystemExit(f"the history was answered with {answer.status_code}")
    return taken, len(answer.json()["results"])


def _client() -> Client:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create(username="bench", is_superuser=True))
    return client


def _fill() -> dict[int, Device]:
    """The devices that are asked for, by their number of revisions, among others."""
    from django.db import connection

    counts = {f"bench-{count}": count for count in _REVISIONS}
    counts |= {f"other-{number}": _OTHERS_REVISIONS for number in range(_OTHERS)}
    devices = _make(counts)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return {count: devices[f"bench-{count}"] for count in _REVISIONS}


def _make(counts: dict[str, int]) -> dict[str, Device]:
    """Devices by hostname, with so many revisions each."""
    from django.utils import timezone

    from backups.models import Snapshot, SnapshotState
    from inventory.models import Device

    now = timezone.now()
    devices = Device.objects.bulk_create(
        Device(hostname=hostname, ip_address="192.0.2.1", platform="cisco_ios")
        for hostname in counts
    )
    snapshots = (
        Snapshot(
            device=device,
            state=SnapshotState.COMMITTED,
            content_sha256=f"{number:064}",
            path=f"{device.pk}",
            commit=f"{device.pk:020}{number:020}",
            blob=f"{device.pk:020}{number:020}",
            size_bytes=50_000,
            line_count=1500,
            lines_added=3,
            lines_removed=2,
            run_id=number,
            job_name="nightly",
            collected_at=now - timedelta(hours=number),
            is_projected=True,
        )
        for device in devices
        for number in range(counts[device.hostname])
    )
    Snapshot.objects.bulk_create(snapshots, batch_size=_AT_ONCE)
    return {device.hostname: device for device in devices}


if __name__ == "__main__":
    main()
