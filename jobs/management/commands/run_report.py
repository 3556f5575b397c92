"""``manage.py run_report``: what became of a run, as text, JSON or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from jobs.reports import WRITERS, ReportFormat
from jobs.selectors.runs import RunNotFound, run_get


class Command(StackCommand):
    help = "Print the report of a run, open or ended; CSV has a line per device."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", metavar="RUN_ID")
        parser.add_argument(
            "--format", choices=[one.value for one in ReportFormat], default=ReportFormat.TEXT.value
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="write it there")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            run = run_get(run_id=options["run"])
        except RunNotFound as error:
            raise CommandError(str(error)) from None
        pieces = WRITERS[ReportFormat(options["format"])].write(run)
        path: Path | None = options["output"]
        if path is None:
            for piece in pieces:
                self.stdout.write(piece, ending="")
            return
        try:
            # CSV brings its own line ends.
            with path.open("w", encoding="utf-8", newline="") as file:
                file.writelines(pieces)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}") from None
