"""Runs of one job in a stack of its own; prints what each of them cost as JSON.

Reads ``{"password", "devices": [[hostname, address, port]]}`` as the first line of standard input.
Each further line ``go`` runs the job over all devices once and prints one line ``{"wall_seconds",
"changed", "cpu_seconds": {PART: seconds}}``; ``changed`` counts devices. Parts are all processes of
the stack with their children: ``devices`` are the workers that talk to devices.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from typing import Any

import psutil

from benchmarks.report import run_to_its_end
from netraven_site.config_loading import prepare_embedded_keys
from netraven_site.demo import environment

environment.prepare()
prepare_embedded_keys()

import django  # noqa: E402 - the environment has to be prepared first

django.setup()

from django.conf import settings  # noqa: E402

from credentials.services import credential_create, tags_ensure  # noqa: E402
from inventory.models import Device  # noqa: E402
from inventory.services import device_save  # noqa: E402
from jobs.models import Job  # noqa: E402
from jobs.schedules import job_save_scheduled  # noqa: E402
from netraven_site.stack.stack import Stack  # noqa: E402

_PLATFORM = "cisco_ios"
#: What stands in the command line of a process of the stack, and what it is called here.
_PARTS = {
    "-n devices": "devices",
    "-n control": "control",
    "-n isolated": "isolated",
    " flower ": "flower",
    " beat ": "beat",
    "gunicorn": "web",
    "redis-server": "redis",
    "postgres": "postgres",
}


def main() -> None:
    inventory = json.loads(sys.stdin.readline())
    stack = Stack(settings.NETRAVEN, output=lambda line: print(line, file=sys.stderr))
    try:
        stack.start()
        stack.wait_ready()
        job = _inventory(inventory)
        for _ in sys.stdin:
            print(json.dumps(_measure(job)), flush=True)
    finally:
        stack.stop()


def _inventory(inventory: dict[str, Any]) -> Job:
    tags = tags_ensure(names=["bench"])
    credential_create(name="bench", username="bench", password=inventory["password"], tags=tags)
    for hostname, address, port in inventory["devices"]:
        device = Device(hostname=hostname, ip_address=address, port=port, platform=_PLATFORM)
        device_save(device=device, tags=tags)
    return job_save_scheduled(job=Job(name="bench"), tags=tags)


def _measure(job: Job) -> dict[str, Any]:
    before = _cpu()
    begin = time.perf_counter()
    run = run_to_its_end(job, pause=0.1)
    wall = time.perf_counter() - begin
    after = _cpu()
    return {
        "wall_seconds": wall,
        "cpu_seconds": {part: seconds - before[part] for part, seconds in after.items()},
        "changed": run.results.filter(config_changed=True).count(),
    }


def _cpu() -> dict[str, float]:
    """CPU seconds of each part of the stack so far, ended children included."""
    used: dict[str, float] = defaultdict(float)
    for root in psutil.Process().children():
        command = " ".join(root.cmdline())
        part = next((part for mark, part in _PARTS.items() if mark in command), "other")
        for process in (root, *root.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue  # its parent has its time by now
            used[part] += sum(times[:4])
    return used


if __name__ == "__main__":
    main()
