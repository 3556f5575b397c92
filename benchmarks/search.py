"""How long a search over the newest configurations of 10 000 devices takes.

The texts have 1 500 lines each and are not alike. Measured is a page of 50 devices until it is
there as JSON, as the API sends it. The aim is 2 s for each question on two cores.

    python -m benchmarks.search [--devices 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import psutil

from benchmarks.database import own_database
from benchmarks.report import print_versions

if TYPE_CHECKING:  # models can be imported only once the database is there
    from backups.selectors.search import Search

AIM_SECONDS = 2.0
_LINES = 1500
_PIECE_LINES = 30
#: Every so many devices have the rare line.
_RARE_EVERY = 2000
_AT_ONCE = 250


def main() -> None:
    options = _options()
    print_versions("google-re2", "zstandard", "psycopg", "Django")
    with own_database():
        _fill_elsewhere(options.devices)
        print(f"{options.devices} devices, each {_LINES} lines and {_sizes()}")
        before = psutil.Process().memory_info().rss
        peak = _PeakMemory()
        slowest = max(_measure(name, search, options) for name, search in _questions())
        print(f"memory that the searches took at the most: {(peak.stop() - before) / 1e6:.0f} MB")
        verdict = "reached" if slowest <= AIM_SECONDS else "MISSED"
        print(f"aim of {AIM_SECONDS:g} s: {verdict}; the slowest took {slowest:.2f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _questions() -> list[tuple[str, Search]]:
    from backups.selectors.search import Search

    return [
        ("literal that 1 of 2000 devices has", Search(pattern="rare-mark-7731", literal=True)),
        ("expression, 1 of 2000", Search(pattern=r"^snmp-server host 192\.0\.2\.\d+ rare-\w+")),
        ("the same without regard to case", Search(pattern="RARE-MARK-77[0-9]+", ignore_case=True)),
        ("in no device", Search(pattern=r"ip (access|prefix)-list .*never-there$")),
        ("in each line of every device", Search(pattern=".")),
        ("in every device", Search(pattern=r"^hostname \S+", context=3)),
        ("devices without it: 1 of 2000", Search(pattern="^ntp server", missing=True)),
        ("devices without it: all", Search(pattern="never-there", missing=True)),
    ]


def _measure(name: str, search: Search, options: argparse.Namespace) -> float:
    """Prints the median of some rounds in seconds and gives the longest."""
    from backups.selectors.search import config_search_page

    seconds, cpu = [], []
    for _ in range(options.rounds):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        page = config_search_page(search=search, size=50)
        answer = json.dumps(asdict(page), default=str)
        seconds.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - cpu_begin)
    print(
        f"{name:36} {statistics.median(seconds):6.2f} s  CPU {statistics.median(cpu):5.2f} s  "
        f"{len(page.devices):3} devices, {len(answer) / 1e3:4.0f} kB, count {page.count}",
        flush=True,
    )
    return max(seconds)


class _PeakMemory(threading.Thread):
    """Watches how much memory this process takes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._peak = 0
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.02):
            self._peak = max(self._peak, process.memory_info().rss)

    def stop(self) -> int:
        """The most bytes that were seen."""
        self._done.set()
        self.join()
        return self._peak


def _sizes() -> str:
    from django.db.models import Avg
    from django.db.models.functions import Length

    from backups.models import CurrentText

    mean = CurrentText.objects.aggregate(
        plain=Avg("snapshot__size_bytes"), packed=Avg(Length("packed"))
    )
    return f"{mean['plain'] / 1e3:.0f} kB, compressed {mean['packed'] / 1e3:.1f} kB"


def _fill_elsewhere(devices: int) -> None:
    """Fill the database in a process of its own, so that this one is as small as a web process."""
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(devices,))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit("the database could not be filled")


def _fill(devices: int) -> None:
    import django

    django.setup()
    from django.utils import timezone

    from backups.engine.search import pack
    from backups.models import CurrentText, Snapshot
    from inventory.models import Device

    now = timezone.now()
    made = _Texts()
    for first in range(0, devices, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, devices))
        texts = [made.text(number) for number in numbers]
        rows = Device.objects.bulk_create(
            Device(hostname=f"bench-{number:05}", ip_address="192.0.2.1", platform="cisco_ios")
            for number in numbers
        )
        snapshots = Snapshot.objects.bulk_create(
            Snapshot(
                device=device,
                content_sha256=f"{device.pk:064}",
                path=f"{device.pk}",
                size_bytes=len(text),
                line_count=_LINES,
                collected_at=now,
                is_projected=True,
            )
            for device, text in zip(rows, texts, strict=True)
        )
        CurrentText.objects.bulk_create(
            CurrentText(device=device, snapshot=snapshot, packed=pack(text))
            for device, snapshot, text in zip(rows, snapshots, texts, strict=True)
        )


class _Texts:
    """Configurations of interfaces and routes, put together from pieces with random values."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # noqa: S311 - repeatable texts, no secret
        self._pieces = ["".join(self._interface() for _ in range(6)) for _ in range(20_000)]

    def text(self, number: int) -> str:
        lines = [f"hostname bench-{number:05}\n", "service timestamps\n"]
        if number % _RARE_EVERY:
            lines.append(f"ntp server 192.0.2.{number % 250}\n")
        else:
            lines.append("snmp-server host 192.0.2.9 rare-mark-7731\n")
        return "".join(lines + self._random.sample(self._pieces, (_LINES - 3) // _PIECE_LINES))

    def _interface(self) -> str:
        bits = self._random.getrandbits
        return (
            f"interface GigabitEthernet{bits(3)}/{bits(6)}\n"
            f" description site-{bits(20):05x} port {bits(10)}\n"
            f" ip address 10.{bits(8)}.{bits(8)}.{bits(8)} 255.255.255.252\n"
            f" ip ospf cost {bits(8)}\n"
            f"ip route 10.{bits(8)}.{bits(8)}.0 255.255.255.0 10.0.{bits(8)}.{bits(8)}\n"
        )


if __name__ == "__main__":
    main()
