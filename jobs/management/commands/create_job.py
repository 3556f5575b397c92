"""``manage.py create_job``: a new job with its tags and schedule."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.utils.timezone import is_naive

from common.commands import StackCommand, one_line
from credentials.services import tags_ensure
from inventory.selectors import devices_with_tags
from jobs.choices import CatchUp, ScheduleType
from jobs.models import Job
from jobs.schedule_rules import ScheduleError, check_time_zone
from jobs.schedules import job_save_scheduled

_KIND_OF_OPTION = {
    "interval_seconds": ScheduleType.INTERVAL,
    "cron": ScheduleType.CRON,
    "run_at": ScheduleType.ONETIME,
}


class Command(StackCommand):
    help = "Create a job that backs up every device that carries one of its tags."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--tags", default="", help="names, separated by ';'")
        parser.add_argument(
            "--schedule-type", choices=[str(kind) for kind in ScheduleType], default="none"
        )
        parser.add_argument("--interval-seconds", type=int, help="at least 60")
        parser.add_argument("--cron", default="", help="minute hour day month weekday")
        parser.add_argument("--run-at", metavar="ISO", help="for example 2027-01-31T02:00+01:00")
        parser.add_argument("--timezone", default="UTC", help="for example Europe/Berlin")
        parser.add_argument(
            "--allow-overlap", action="store_true", help="start also while an earlier run is open"
        )
        parser.add_argument(
            "--catch-up",
            choices=[str(way) for way in CatchUp],
            default=CatchUp.RUN_ONCE.value,
            help="what becomes of times that were missed (default: one run for all of them)",
        )
        parser.add_argument(
            "--blackout",
            action="append",
            default=[],
            metavar="WINDOW",
            help="time in which the schedule starts nothing, as 'mon-fri 08:00-18:00'; repeatable",
        )
        parser.add_argument(
            "--start-jitter-seconds",
            type=int,
            default=0,
            metavar="N",
            help="scheduled runs start up to so many seconds late",
        )
        parser.add_argument(
            "--starts-per-second",
            type=_rate,
            metavar="N",
            help="sessions that a run begins per second at the most",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        _check_kind(options)
        job = Job(
            name=options["name"],
            schedule_type=options["schedule_type"],
            interval_seconds=options["interval_seconds"],
            cron=options["cron"],
            time_zone=options["timezone"],
            allow_overlap=options["allow_overlap"],
            catch_up=options["catch_up"],
            blackouts="\n".join(options["blackout"]),
            start_jitter_seconds=options["start_jitter_seconds"],
            starts_per_second=options["starts_per_second"],
        )
        try:
            with transaction.atomic():
                job.run_at = _run_at(options["run_at"], options["timezone"])
                job_save_scheduled(job=job, tags=tags_ensure(names=options["tags"].split(";")))
        except ValidationError as error:
            raise CommandError(one_line(error)) from None
        count = devices_with_tags(tags=job.tags.all()).count()
        self.stdout.write(f"job '{job.name}' created; it selects {count} devices now")


def _rate(text: str) -> float:
    rate = float(text)
    if math.isnan(rate):  # greater and less than nothing, so no validator would see it
        raise ValueError(text)
    return rate


def _check_kind(options: dict[str, Any]) -> None:
    """A time that the kind of schedule does not use is a mistake, not something to forget."""
    for option, kind in _KIND_OF_OPTION.items():
        if options[option] and options["schedule_type"] != kind:
            name = option.replace("_", "-")
            raise CommandError(f"--{name} needs --schedule-type {kind}")


def _run_at(text: str | None, time_zone: str) -> datetime | None:
    if text is None:
        return None
    try:
        check_time_zone(time_zone)
    except ScheduleError as error:
        raise CommandError(f"--timezone: {error}") from None
    try:
        run_at = datetime.fromisoformat(text)
        return run_at.replace(tzinfo=ZoneInfo(time_zone)) if is_naive(run_at) else run_at
    except ValueError:
        raise CommandError(
            f"--run-at '{text}' is no time; write it like 2027-01-31T02:00+01:00"
        ) from None
