"""Two runs of one job in a stack of its own; prints what they cost as JSON.

Reads ``{"password", "devices": [[hostname, address, port]]}`` from standard input and prints, as
its last line, a list of two ``{"wall_seconds", "cpu_seconds", "worker_cpu_seconds"}``. CPU is that
of every process of the stack: PostgreSQL, Redis, web, workers, beat and Flower.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import psutil

from netraven_site.config import prepare_embedded_keys
from netraven_site.demo import environment

environment.prepare()
prepare_embedded_keys()

import django  # noqa: E402 - the environment has to be prepared first

django.setup()

from django.conf import settings  # noqa: E402

from credentials.services import credential_create, tags_ensure  # noqa: E402
from inventory.models import Device  # noqa: E402
from inventory.services import device_save  # noqa: E402
from jobs.choices import FINAL_RUN_STATUSES, RunStatus, Trigger  # noqa: E402
from jobs.launch import request_run  # noqa: E402
from jobs.models import Job  # noqa: E402
from jobs.schedules import job_save_scheduled  # noqa: E402
from netraven_site.stack.stack import Stack  # noqa: E402

_WORKER_MARK = "worker"


def main() -> None:
    inventory = json.load(sys.stdin)
    stack = Stack(settings.NETRAVEN, output=lambda line: print(line, file=sys.stderr))
    try:
        stack.start()
        stack.wait_ready()
        job = _inventory(inventory)
        results = [_measure(job), _measure(job)]
    finally:
        stack.stop()
    print(json.dumps(results))


def _inventory(inventory: dict[str, Any]) -> Job:
    tags = tags_ensure(names=["bench"])
    credential_create(name="bench", username="bench", password=inventory["password"], tags=tags)
    for hostname, address, port in inventory["devices"]:
        device = Device(hostname=hostname, ip_address=address, port=port, platform="cisco_ios")
        device_save(device=device, tags=tags)
    return job_save_scheduled(job=Job(name="bench"), tags=tags)


def _measure(job: Job) -> dict[str, float]:
    before = _cpu()
    begin = time.perf_counter()
    run = request_run(job=job, trigger=Trigger.COMMAND)
    while run.status not in FINAL_RUN_STATUSES:
        time.sleep(0.1)
        run.refresh_from_db()
    wall = time.perf_counter() - begin
    after = _cpu()
    if run.status != RunStatus.COMPLETED_SUCCESS:
        failed = run.results.exclude(error_message="").values_list("hostname", "error_message")
        raise SystemExit(f"the run ended as {run.status}: {list(failed[:5])}")
    used = {pid: seconds - before.get(pid, (0.0, ""))[0] for pid, (seconds, _) in after.items()}
    return {
        "wall_seconds": wall,
        "cpu_seconds": sum(used.values()),
        "worker_cpu_seconds": sum(
            used[pid] for pid, (_, command) in after.items() if _WORKER_MARK in command
        ),
    }


def _cpu() -> dict[int, tuple[float, str]]:
    """CPU seconds, user and system, and command line of each process of the stack."""
    found: dict[int, tuple[float, str]] = {}
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
            ended = times.children_user + times.children_system
            found[process.pid] = (
                times.user + times.system + ended,
                " ".join(process.cmdline()),
            )
        except psutil.Error:
            continue  # it ended between the listing and the reading
    return found


if __name__ == "__main__":
    main()
