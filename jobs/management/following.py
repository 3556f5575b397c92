"""What the commands share that start a run: waiting for its end and printing it."""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from common.commands import StackCommand
from jobs.choices import FINAL_RUN_STATUSES, OPEN_RESULT_STATUSES, RunStatus
from jobs.models import JobRun
from jobs.selectors.forecast import predicted_finish
from jobs.selectors.runs import run_progress, run_summary

_POLL_SECONDS = 0.25
_FORECAST_SECONDS = 5.0
_COLUMNS = ("device", "status", "changed", "attempts", "commit", "reason")


class RunCommand(StackCommand):
    """A command that starts a run and follows it when asked to."""

    def add_follow_arguments(self, parser: CommandParser) -> None:
        """Add the options that ``follow`` looks at."""
        parser.add_argument("--wait", action="store_true", help="until the run has ended")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--timeout", type=_seconds, metavar="S", help="wait no longer than this"
        )

    def follow(self, run: JobRun, options: dict[str, Any]) -> None:
        """Print ``run`` as it stands, or at its end; exits with 1 if it ended without success."""
        if options["wait"]:
            try:
                run = _wait(run, timeout=options["timeout"], quiet=options["json"])
            except KeyboardInterrupt:
                raise CommandError(f"no longer waiting; run {run.pk} goes on") from None
        else:
            run = run_progress(run_id=run.pk)
        self.print_run(run, as_json=options["json"])
        if options["wait"] and run.status not in FINAL_RUN_STATUSES:
            raise CommandError(
                f"run {run.pk} did not end within {options['timeout']:g} s; it goes on"
            )
        if run.status in FINAL_RUN_STATUSES and run.status != RunStatus.COMPLETED_SUCCESS:
            sys.exit(1)

    def print_run(self, run: JobRun, *, as_json: bool) -> None:
        """Print ``run`` with its devices once it has ended."""
        summary = run_summary(run=run)
        if as_json:
            self.stdout.write(json.dumps(summary))
            return
        if run.status in FINAL_RUN_STATUSES:
            Console(file=sys.stdout, width=_table_width()).print(_table(summary))
        duration = summary["duration_seconds"]
        took = "" if duration is None else f" after {duration:.1f} s"
        reason = f": {run.status_reason}" if run.status_reason else ""
        self.stdout.write(f"run {run.pk}: {run.status}{took}{reason}")


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError(text)
    return seconds


def _wait(run: JobRun, *, timeout: float | None, quiet: bool) -> JobRun:
    """Follow ``run`` with a progress bar, until its end or the time is up."""
    deadline = None if timeout is None else time.monotonic() + timeout
    hidden = quiet
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[finish]}"),
    )
    console = Console(stderr=True)
    with Progress(*columns, TimeElapsedColumn(), console=console, disable=hidden) as progress:
        bar = progress.add_task(f"run {run.pk}", total=run.total_count, finish="")
        forecast_due = time.monotonic()
        while True:
            run = run_progress(run_id=run.pk)
            open_count = run.results.filter(status__in=OPEN_RESULT_STATUSES).count()
            progress.update(bar, completed=run.total_count - open_count)
            if not hidden and time.monotonic() >= forecast_due:
                progress.update(bar, finish=_finish(run))
                forecast_due = time.monotonic() + _FORECAST_SECONDS
            late = deadline is not None and time.monotonic() > deadline
            if late or run.status in FINAL_RUN_STATUSES:
                return run
            time.sleep(_POLL_SECONDS)


def _finish(run: JobRun) -> str:
    """When the run will end, in the time zone of the installation, as far as that is known."""
    finish = predicted_finish(run=run)
    return "" if finish is None else f"done about {timezone.localtime(finish):%H:%M:%S}"


def _table_width() -> int | None:
    """Room for the reasons where no terminal says how wide it is."""
    return None if sys.stdout.isatty() else 140


def _table(summary: dict[str, Any]) -> Table:
    table = Table(*_COLUMNS)
    for row in summary["results"]:
        changed = {True: "yes", False: "no", None: ""}[row["config_changed"]]
        reason = row["error_message"] or ""
        cells = (
            row["hostname"],
            row["status"],
            changed,
            str(row["attempts"]),
            (row["commit"] or "")[:10],
            reason,
        )
        # Text, not markup: hostnames and messages come from outside.
        table.add_row(*(Text(cell) for cell in cells))
    return table
