"""``manage.py cancel_run``: stop a run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand, command_line_user
from jobs.launch import RunHasEnded, request_cancel
from jobs.selectors.runs import RunNotFound, run_get


class Command(StackCommand):
    help = "Stop a run. Devices that are done keep their results; sessions end within seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = request_cancel(
                run=run_get(run_id=options["run"]), cancelled_by=command_line_user()
            )
        except (RunNotFound, RunHasEnded) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"run {run.pk} is cancelled; {run.cancelled_count} of its devices were still open"
        )
