"""Whole runs with a collector that answers at once: time as the number of devices grows.

Everything is real but the sessions: broker, workers, database, redaction, archives, Git. Each size
has devices of its own, so that every device is new in its first run. The exponent is that of
time = a * devices ^ exponent between the smallest and the largest size; the aim is 1.1 at the most.

    python -m benchmarks.run_growth [--quick] [--devices 1000,3000,10000]
"""

from __future__ import annotations

import math
import os
import time

from benchmarks.database import own_database
from benchmarks.fleet import job_over, own_broker
from benchmarks.report import print_versions, run_to_its_end, sizes_asked_for
from benchmarks.workers import cpu_by_process, own_workers

_PACKAGES = ("celery", "kombu", "Django", "psycopg")
_AIM = 1.1


def main() -> None:
    sizes = sizes_asked_for(__doc__ or "", quick=(300, 1000))
    print_versions(*_PACKAGES)
    print(
        "devices   first run s  ms/device  CPU ms/device   second run s  ms/device  CPU ms/device"
    )
    figures: dict[int, list[tuple[float, float]]] = {}
    with own_database() as data_dir, own_broker(data_dir) as redis_url:
        os.environ["REDIS_URL"] = redis_url
        with own_workers(data_dir, application="benchmarks.simulated_worker"):
            for count in sizes:
                job = job_over(count)
                figures[count] = [_run(job.pk), _run(job.pk)]
                cells = [
                    f"{wall:12.1f}  {1000 * wall / count:9.2f}  {1000 * cpu / count:13.2f}"
                    for wall, cpu in figures[count]
                ]
                print(f"{count:7}  {'  '.join(cells)}", flush=True)
    low, high = min(figures), max(figures)
    for name, number in (("first run", 0), ("second run", 1)):
        (low_wall, low_cpu), (high_wall, high_cpu) = figures[low][number], figures[high][number]
        print(
            f"growth exponent of the {name}: {_exponent(low, low_wall, high, high_wall):.2f} "
            f"(of CPU {_exponent(low, low_cpu, high, high_cpu):.2f}); aim {_AIM} at the most"
        )


def _exponent(low: int, low_seconds: float, high: int, high_seconds: float) -> float:
    return math.log(high_seconds / low_seconds) / math.log(high / low) if high > low else 1.0


def _run(job_id: int) -> tuple[float, float]:
    """Seconds of one run and of CPU that all processes took meanwhile."""
    from jobs.models import Job

    before, begin = cpu_by_process(), time.perf_counter()
    run_to_its_end(Job.objects.get(pk=job_id))
    wall = time.perf_counter() - begin
    after = cpu_by_process()
    return wall, sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


if __name__ == "__main__":
    main()
