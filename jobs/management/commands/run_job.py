"""``manage.py run_job``: start a run of a job, and wait for it when asked to."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from jobs.choices import Trigger
from jobs.launch import REFUSALS, request_run
from jobs.management.following import RunCommand
from jobs.selectors.jobs import JobNotFound, job_get


class Command(RunCommand):
    help = "Run a job now. With --wait the exit code is 0 only for COMPLETED_SUCCESS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", help="name or id")
        self.add_follow_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            job = job_get(name_or_id=options["job"])
            run = request_run(job=job, trigger=Trigger.COMMAND)
        except (JobNotFound, *REFUSALS) as error:
            raise CommandError(str(error)) from None
        self.follow(run, options)
