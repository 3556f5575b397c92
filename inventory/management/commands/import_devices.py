"""``manage.py import_devices``: devices from a CSV file, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from credentials.management.base import StackCommand
from inventory.services import ImportFailed, devices_import_csv


class Command(StackCommand):
    help = "Create or update devices from a file; nothing is changed when a line is bad."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--format", choices=["csv"], default="csv")
        parser.add_argument("--dry-run", action="store_true", help="check the file, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                result = devices_import_csv(file=file, dry_run=options["dry_run"])
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        except ImportFailed as error:
            for problem in error.problems:
                self.stderr.write(f"{path}: {problem}")
            raise CommandError(f"{path}: nothing was imported; correct these lines") from None
        done = "would be" if options["dry_run"] else "were"
        self.stdout.write(f"{result.created} devices {done} created, {result.updated} updated")
