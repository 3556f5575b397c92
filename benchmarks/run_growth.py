"""Whole runs with a collector that answers at once: time as the number of devices grows.

Everything is real but the sessions: broker, workers, database, redaction, archives, Git. Each size
has devices of its own, so that every device is new in its first run. The exponent is that of
time = a * devices ^ exponent between the smallest and the largest size; the aim is 1.1 at the most.

    python -m benchmarks.run_growth [--quick] [--devices 1000,3000,10000]
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from importlib.metadata import version

from benchmarks.database import own_database
from benchmarks.fleet import job_over, own_broker
from benchmarks.workers import cpu_by_process, own_workers

_PACKAGES = ("celery", "kombu", "Django", "psycopg")
_AIM = 1.1


def main() -> None:
    options = _options()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; ", end="")
    print(", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print(
        "devices   first run s  ms/device  CPU ms/device   second run s  ms/device  CPU ms/device"
    )
    figures: dict[int, list[tuple[float, float]]] = {}
    with own_database() as data_dir, own_broker(data_dir) as redis_url:
        os.environ["REDIS_URL"] = redis_url
        with own_workers(data_dir, application="benchmarks.simulated_worker"):
            for count in options.devices:
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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sizes = [1000, 3000, 10000]
    parser.add_argument("--quick", action="store_true", help="300 and 1 000 devices")
    parser.add_argument(
        "--devices", type=lambda text: [int(size) for size in text.split(",")], default=sizes
    )
    options = parser.parse_args()
    if options.quick:
        options.devices = [300, 1000]
    return options


def _exponent(low: int, low_seconds: float, high: int, high_seconds: float) -> float:
    return math.log(high_seconds / low_seconds) / math.log(high / low) if high > low else 1.0


def _run(job_id: int) -> tuple[float, float]:
    """Seconds of one run and of CPU that all processes took meanwhile."""
    from jobs.choices import FINAL_RUN_STATUSES, RunStatus, Trigger
    from jobs.launch import request_run
    from jobs.models import Job

    before, begin = cpu_by_process(), time.perf_counter()
    run = request_run(job=Job.objects.get(pk=job_id), trigger=Trigger.COMMAND)
    while run.status not in FINAL_RUN_STATUSES:
        time.sleep(0.2)
        run.refresh_from_db()
    wall = time.perf_counter() - begin
    after = cpu_by_process()
    if run.status != RunStatus.COMPLETED_SUCCESS:
        failed = run.results.exclude(error_message="").values_list("hostname", "error_message")
        raise SystemExit(f"the run ended as {run.status}: {list(failed[:5])}")
    return wall, sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


if __name__ == "__main__":
    main()
