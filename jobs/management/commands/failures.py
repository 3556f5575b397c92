"""``manage.py failures``: the failures of a run in groups."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from credentials.management.base import StackCommand
from jobs.models import JobRun
from jobs.policy import GroupBy
from jobs.reports.as_json import failure_as_dict
from jobs.reports.as_text import failure_lines
from jobs.selectors.failures import FailureGroup, failure_groups
from jobs.selectors.reports import RunNotFound, run_get


class Command(StackCommand):
    help = "Group the failed, errored, suspect and skipped devices of a run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int, metavar="RUN_ID")
        parser.add_argument(
            "--by", choices=[by.value for by in GroupBy], default=GroupBy.CAUSE.value
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = run_get(run_id=options["run"])
        except RunNotFound as error:
            raise CommandError(str(error)) from None
        groups = failure_groups(run=run, by=GroupBy(options["by"]))
        if options["json"]:
            rows = [failure_as_dict(group) for group in groups]
            self.stdout.write(json.dumps({"run_id": run.pk, "by": options["by"], "groups": rows}))
            return
        self._print(run, groups)

    def _print(self, run: JobRun, groups: list[FailureGroup]) -> None:
        if not groups:
            self.stdout.write(f"Nothing failed in run {run.pk}.")
        for group in groups:
            for line in failure_lines(group):
                self.stdout.write(line)
