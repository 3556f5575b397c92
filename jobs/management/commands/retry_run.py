"""``manage.py retry_run``: try again the devices that were not backed up in a run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.choices import Trigger
from jobs.launch import RETRY_REFUSALS, request_retry
from jobs.management.following import RunCommand
from jobs.selectors.runs import RunNotFound, run_get


class Command(RunCommand):
    help = "Try again the failed, errored and suspect devices of a run that has ended."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", help="id of the run")
        self.add_follow_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = run_get(run_id=options["run"])
            retry = request_retry(run=run, trigger=Trigger.RETRY, requested_by=None)
        except (RunNotFound, *RETRY_REFUSALS) as error:
            raise CommandError(str(error)) from None
        self.follow(retry, options)
