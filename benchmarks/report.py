"""What benchmarks have in common: the line of versions, sizes to measure, a run to its end."""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.models import Job, JobRun

_SIZES = (1000, 3000, 10_000)


def print_versions(*packages: str) -> None:
    """One line: Python, the cores of the machine, and the versions of ``packages``."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {versions}")


def sizes_asked_for(about: str, *, quick: Sequence[int]) -> Sequence[int]:
    """How many devices to measure with: as ``--devices`` says, or ``quick`` with ``--quick``.

    ``about`` is the text of the benchmark's module, whose first line is its help.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    in_words = " and ".join(f"{size:,}".replace(",", " ") for size in quick)
    parser.add_argument("--quick", action="store_true", help=f"{in_words} devices")
    parser.add_argument(
        "--devices", type=lambda text: [int(size) for size in text.split(",")], default=_SIZES
    )
    options = parser.parse_args()
    sizes: Sequence[int] = quick if options.quick else options.devices
    return sizes


def run_to_its_end(
    job: Job, *, pause: float = 0.2, look: Callable[[JobRun], object] = lambda run: None
) -> JobRun:
    """A run of ``job`` once it has ended, with ``look`` called every ``pause`` seconds meanwhile.

    Ends the benchmark where a device failed.
    """
    # The database is set up only after this module is read.
    from jobs.choices import FINAL_RUN_STATUSES, RunStatus, Trigger
    from jobs.launch import request_run

    run = request_run(job=job, trigger=Trigger.COMMAND)
    while run.status not in FINAL_RUN_STATUSES:
        time.sleep(pause)
        look(run)
        run.refresh_from_db()
    if run.status != RunStatus.COMPLETED_SUCCESS:
        failed = run.results.exclude(error_message="").values_list("hostname", "error_message")
        raise SystemExit(f"the run ended as {run.status}: {list(failed[:5])}")
    return run
