"""``manage.py status``: one screen that says what runs and what needs a hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from common.commands import StackCommand
from jobs.monitoring.overview import system_overview
from jobs.reports.as_text import duration_in_words

_SHOWN_RUNS = 10


class Command(StackCommand):
    help = "Say what runs: workers, queues, runs, and what needs a hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        overview = system_overview()
        if options["json"]:
            self.stdout.write(json.dumps(overview, cls=DjangoJSONEncoder))
            return
        for line in _lines(overview):
            self.stdout.write(line)


def _lines(overview: dict[str, Any]) -> Iterator[str]:
    counts = overview["counts"]
    yield (
        f"NetRaven {overview['versions']['netraven']}: {counts['active_devices']} active devices, "
        f"{counts['jobs']} jobs, {counts['snapshots']} snapshots"
    )
    yield from _workers(overview["workers"])
    yield from _queues(overview["queues"])
    yield from _open_runs(overview["open_runs"])
    yield from _last_runs(overview["last_runs"])
    troubles = overview["needs_a_hand"]
    yield ""
    yield "Needs a hand" if troubles else "Nothing needs a hand."
    for trouble in troubles:
        yield f"  - {trouble}"


def _workers(workers: list[dict[str, Any]]) -> Iterator[str]:
    yield "\nWorkers"
    for worker in workers:
        seen = duration_in_words(worker["seen_seconds"])
        state = f"{worker['busy']} of {worker['concurrency']} busy"
        if not worker["is_alive"]:
            state = f"dead, seen {seen} ago"
        yield f"  {worker['node']:32} {state:24} {','.join(worker['queues'])}"
    if not workers:
        yield "  none"


def _queues(queues: list[dict[str, Any]]) -> Iterator[str]:
    yield "\nQueues"
    for queue in queues:
        depth = "?" if queue["depth"] is None else queue["depth"]
        oldest = queue["oldest_seconds"]
        since = "" if oldest is None else f", oldest {duration_in_words(oldest)}"
        workers = f"{queue['workers']} workers"
        yield f"  {queue['name']:32} {workers:12} {depth} messages, {queue['waiting']} wait{since}"


def _open_runs(runs: list[dict[str, Any]]) -> Iterator[str]:
    yield "\nOpen runs"
    for run in runs[:_SHOWN_RUNS]:
        age = duration_in_words(run["age_seconds"])
        yield (
            f"  {run['id']} {run['job_name']}: {run['status']}, {run['done']} of {run['total']} "
            f"devices done, asked for {age} ago"
        )
    if len(runs) > _SHOWN_RUNS:
        yield f"  and {len(runs) - _SHOWN_RUNS} more"
    if not runs:
        yield "  none"


def _last_runs(runs: list[dict[str, Any]]) -> Iterator[str]:
    yield "\nLast runs"
    for run in runs:
        took = run["duration_seconds"]
        after = "" if took is None else f" after {duration_in_words(took)}"
        yield (
            f"  {run['id']} {run['job_name']}: {run['status']}{after}, {run['succeeded']} of "
            f"{run['total']} devices"
        )
    if not runs:
        yield "  none"
