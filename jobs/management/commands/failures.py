"""``manage.py failures``: the failures of a run in groups."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from jobs.choices import Trigger
from jobs.launch import RETRY_REFUSALS, request_retry
from jobs.models import JobRun
from jobs.policy import GroupBy
from jobs.reports.as_json import failure_as_dict
from jobs.reports.as_text import failure_lines
from jobs.selectors.failures import (
    FailureGroup,
    GroupNotFound,
    failure_group,
    failure_groups,
    group_was_skipped,
)
from jobs.selectors.runs import RunNotFound, run_get


class Command(StackCommand):
    help = "Group the failed, errored, suspect and skipped devices of a run; retry a group."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", metavar="RUN_ID")
        parser.add_argument(
            "--by", choices=[by.value for by in GroupBy], default=GroupBy.CAUSE.value
        )
        parser.add_argument(
            "--retry", metavar="KEY", help="try the devices of this group again, as a new run"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = run_get(run_id=options["run"])
        except RunNotFound as error:
            raise CommandError(str(error)) from None
        by = GroupBy(options["by"])
        if options["retry"] is not None:
            self._retry(run, by, options["retry"], as_json=options["json"])
            return
        groups = failure_groups(run=run, by=by)
        if options["json"]:
            rows = [failure_as_dict(group) for group in groups]
            self.stdout.write(json.dumps({"run_id": run.pk, "by": options["by"], "groups": rows}))
            return
        self._print(run, groups)

    def _retry(self, run: JobRun, by: GroupBy, key: str, *, as_json: bool) -> None:
        try:
            group = failure_group(run=run, by=by, key=key)
            if not group.retry_ids:
                raise CommandError(group_was_skipped(group))
            retry = request_retry(
                run=run, trigger=Trigger.RETRY, requested_by=None, only=group.retry_ids
            )
        except (GroupNotFound, *RETRY_REFUSALS) as error:
            raise CommandError(str(error)) from None
        if as_json:
            self.stdout.write(json.dumps({"run_id": retry.pk, "devices": retry.total_count}))
            return
        self.stdout.write(f"run {retry.pk} tries {retry.total_count} devices again")

    def _print(self, run: JobRun, groups: list[FailureGroup]) -> None:
        if not groups:
            self.stdout.write(f"Nothing failed in run {run.pk}.")
        for group in groups:
            for line in failure_lines(group):
                self.stdout.write(line)
