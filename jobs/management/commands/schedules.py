"""``manage.py schedules``: when the jobs start by themselves."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from jobs.models import Job
from jobs.selectors.jobs import JobNotFound, job_get
from jobs.selectors.schedules import ScheduleReport, local_time, schedule_reports


class Command(StackCommand):
    help = "Print for each job when it starts: in words, the last planned time, the next five."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("job", nargs="?", help="name or id; all jobs without it")
        parser.add_argument("--json", action="store_true", help="print one JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            jobs = [job_get(name_or_id=options["job"])] if options["job"] else Job.objects.all()
        except JobNotFound as error:
            raise CommandError(str(error)) from None
        reports = schedule_reports(jobs=jobs)
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(report) for report in reports]))
            return
        for report in reports:
            self._print(report)
        if not reports:
            self.stdout.write("there are no jobs yet")

    def _print(self, report: ScheduleReport) -> None:
        job, run = report.job, report.last_run
        self.stdout.write(f"{job.name}: {report.schedule}")
        for window in filter(str.strip, job.blackouts.splitlines()):
            self.stdout.write(f"  blackout  {window.strip()}")
        if run is not None and run.slot_at is not None:
            slot = local_time(job, run.slot_at)
            self.stdout.write(f"  last      {slot}: run {run.pk} {run.status}")
        for start in report.next_starts:
            self.stdout.write(f"  next      {local_time(job, start)}")


def _as_json(report: ScheduleReport) -> dict[str, Any]:
    job, run = report.job, report.last_run
    return {
        "id": job.pk,
        "name": job.name,
        "is_enabled": job.is_enabled,
        "schedule_type": job.schedule_type,
        "schedule": report.schedule,
        "time_zone": job.time_zone,
        "catch_up": job.catch_up,
        "blackouts": [line.strip() for line in job.blackouts.splitlines() if line.strip()],
        "start_jitter_seconds": job.start_jitter_seconds,
        "last_slot": run and run.slot_at and run.slot_at.isoformat(),
        "last_run": run and {"id": run.pk, "status": run.status},
        "next_runs": [start.isoformat() for start in report.next_starts],
    }
