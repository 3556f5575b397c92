"""``manage.py import_history``: the Git history of Oxidized or RANCID becomes our own."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.errors import DeviceError
from backups.engine.foreign_history import ForeignHistory, HistoryFormat, NoHistory
from backups.services.import_history import ImportedFile, history_import
from common.commands import StackCommand


class Command(StackCommand):
    help = (
        "Import the Git history of Oxidized or RANCID: each version of the file of a known device "
        "becomes a snapshot with its author and date, redacted. May be run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("repository", type=Path, help="directory, bare or with a work tree")
        parser.add_argument("--format", required=True, choices=[it.value for it in HistoryFormat])
        parser.add_argument(
            "--map",
            type=Path,
            metavar="FILE",
            help="CSV with the columns path,hostname, for files that are named otherwise",
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be done")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        repository: Path = options["repository"]
        history_format = HistoryFormat(options["format"])
        try:
            done = list(
                history_import(
                    history=ForeignHistory(repository, history_format),
                    source=f"{history_format}:{repository.resolve().name}"[:200],
                    hostnames=_hostnames(options["map"]),
                    dry_run=options["dry_run"],
                )
            )
        except NoHistory as error:
            raise CommandError(str(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None
        if options["json"]:
            self.stdout.write(json.dumps({"files": [asdict(file) for file in done]}))
        else:
            self._print(done, dry_run=options["dry_run"])
        if not any(file.stored or file.known for file in done):
            raise CommandError("nothing was imported: no file belongs to a device; see --map")

    def _print(self, done: list[ImportedFile], *, dry_run: bool) -> None:
        for file in done:
            counts = {
                "stored before": file.known,
                "without a change": file.unchanged,
                "not older than our own": file.overtaken,
                "unusable": file.unusable,
            }
            rest = "".join(f", {count} {what}" for what, count in counts.items() if count)
            verb = "would be stored" if dry_run else "stored"
            line = f"{file.path}: {file.stored} of {file.versions} versions {verb}{rest}"
            self.stdout.write(line + (f"; {file.problem}" if file.problem else ""))
        total = sum(file.stored for file in done)
        self.stdout.write(f"{total} snapshots {'would be' if dry_run else 'were'} made")


def _hostnames(path: Path | None) -> dict[str, str]:
    """The device of each file that the CSV file names. Raises CommandError."""
    if path is None:
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "no CSV in UTF-8"
        raise CommandError(f"{path}: cannot be read ({reason})") from None
    if not all(row.get("path") and row.get("hostname") for row in rows):
        raise CommandError(f"{path}: each line needs the columns path,hostname")
    return {row["path"].strip(): row["hostname"].strip() for row in rows}
