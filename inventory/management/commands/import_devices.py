"""``manage.py import_devices``: devices from a file, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from inventory.imports import ImportFailed, ImportFormat, ImportOptions, ImportResult, file_import


class Command(StackCommand):
    help = "Create or update devices from a file; nothing is changed when a line is bad."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--format",
            choices=[one.value for one in ImportFormat],
            default=ImportFormat.CSV.value,
            help="whose file it is: our CSV, router.db of Oxidized or RANCID, JSON of NetBox",
        )
        parser.add_argument("--dry-run", action="store_true", help="check the file, change nothing")
        parser.add_argument(
            "--tags", default="", help="names, separated by ';', that each device gets as well"
        )
        parser.add_argument(
            "--mapping",
            type=Path,
            metavar="FILE",
            help="Oxidized: its configuration, or the part 'source: csv:' of it",
        )
        parser.add_argument(
            "--cloginrc", type=Path, metavar="FILE", help="RANCID: the file with the logins"
        )
        parser.add_argument(
            "--default-user",
            metavar="NAME",
            help="RANCID: the account that it ran as, for logins without a user",
        )
        parser.add_argument(
            "--platform",
            action="append",
            default=[],
            metavar="THEIRS=OURS",
            help="what a model, type or slug of theirs is; 'skip' leaves it out; may be repeated",
        )
        parser.add_argument(
            "--without-credentials",
            action="store_true",
            help="make no credentials of the logins in the file",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        beside = ImportOptions(
            mapping=_text_of(options["mapping"]),
            cloginrc=_text_of(options["cloginrc"]),
            default_user=options["default_user"],
            platforms=dict(_pair(text) for text in options["platform"]),
        )
        try:
            result = file_import(
                text=_text_of(path) or "",
                kind=ImportFormat(options["format"]),
                options=beside,
                dry_run=options["dry_run"],
                tags=[name for name in options["tags"].split(";") if name.strip()],
                with_logins=not options["without_credentials"],
            )
        except ImportFailed as error:
            for problem in error.problems:
                self.stderr.write(f"{path}: {problem}")
            raise CommandError(f"{path}: nothing was imported; correct these lines") from None
        self._report(result, dry_run=options["dry_run"])

    def _report(self, result: ImportResult, *, dry_run: bool) -> None:
        for line in result.left_out:
            self.stdout.write(f"left out: {line}")
        for line in result.notes:
            self.stdout.write(f"note: {line}")
        done = "would be" if dry_run else "were"
        if result.credentials:
            names = ", ".join(result.credentials)
            self.stdout.write(f"{len(result.credentials)} credentials {done} created: {names}")
        self.stdout.write(
            f"{result.created} devices {done} created, {result.updated} updated, "
            f"{result.unchanged} unchanged"
        )


def _text_of(path: Path | None) -> str | None:
    """The text of a file, without a byte order mark."""
    if path is None:
        return None
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(
            f"{path}: the file is not UTF-8 text; save it as UTF-8 and try again"
        ) from None


def _pair(text: str) -> tuple[str, str]:
    theirs, equals, ours = text.rpartition("=")
    if not (equals and theirs and ours):
        raise CommandError(
            f"--platform {text!r}: say THEIRS=OURS, for example --platform ios=cisco_xe"
        )
    return theirs, ours
