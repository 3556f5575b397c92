"""Workers of a benchmark's own, and what they and the servers use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from netraven_site.stack import processes
from netraven_site.stack.supervisor import Supervisor

_PRODUCT = "netraven_site"
_READY_SECONDS = 120


@contextmanager
def own_workers(data_dir: Path, *, application: str = _PRODUCT) -> Iterator[None]:
    """The workers of ``manage.py up``, of another Celery application where one is named.

    Only inside ``own_database`` and ``own_broker``.
    """
    from django.conf import settings

    from netraven_site.celery import app

    supervisor = Supervisor(log_directory=data_dir / "log", say=print)
    specs = [
        replace(spec, argv=tuple(application if word == _PRODUCT else word for word in spec.argv))
        for spec in processes.workers(settings.NETRAVEN)
    ]
    try:
        for spec in specs:
            supervisor.start(spec)
        nodes = [processes.node_name(spec.name) for spec in specs]
        deadline = time.monotonic() + _READY_SECONDS
        while len(app.control.ping(nodes, timeout=1, limit=len(nodes)) or []) < len(nodes):
            if time.monotonic() > deadline:
                raise SystemExit(f"the workers do not answer: {supervisor.failure()}")
        yield
    finally:
        supervisor.stop()


def cpu_by_process() -> dict[int, float]:
    """CPU seconds of this process and of every process below it."""
    found: dict[int, float] = {}
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
        except psutil.Error:
            continue  # it ended between the listing and the reading
    return found


def memory_of_workers(queue: str) -> float:
    """Resident memory in MB of the workers that serve ``queue`` first."""
    found = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
            if "-Q" in words and words[words.index("-Q") + 1].split(",")[0] == queue:
                found += process.memory_info().rss / 1e6
        except psutil.Error:
            continue  # it ended between the listing and the reading
    return found
