"""``manage.py purge_history``: delete what is stored of a device, on purpose."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from backups.engine.errors import DeviceError
from backups.services.history_deletion import history_delete, store_rewrite
from common.commands import StackCommand, command_line_user
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "Delete stored revisions, raw copies and suspects of a device; who did it is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hostname", metavar="HOST")
        parser.add_argument(
            "--before",
            metavar="DATE",
            help="only what was collected before this day or moment; the newest revision stays",
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--rewrite-git",
            action="store_true",
            help="build the Git store anew without it; commits get new ids",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            device = device_get(hostname=options["hostname"])
            before = _moment(options["before"])
            if not options["yes"]:
                self._ask(device, before)
            self._delete(device, before)
            if options["rewrite_git"]:
                self._rewrite()
        except DeviceNotFound as error:
            raise CommandError(str(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None

    def _ask(self, device: Device, before: datetime | None) -> None:
        what = f"what was collected before {before:%Y-%m-%d %H:%M %Z}" if before else "everything"
        self.stdout.write(f"This deletes {what} that is stored of {device.hostname}, for good.")
        self.stdout.write("Type the hostname to go on: ", ending="")
        self.stdout.flush()
        try:
            typed = input()
        except EOFError:
            raise CommandError("nothing was deleted; without a terminal give --yes") from None
        if typed.strip() != device.hostname:
            raise CommandError("that is not the hostname; nothing was deleted")

    def _delete(self, device: Device, before: datetime | None) -> None:
        deletion = history_delete(device=device, before=before, deleted_by=command_line_user())
        self.stdout.write(
            f"{device.hostname}: deleted {deletion.snapshot_count} snapshots, "
            f"{deletion.archive_count} archives and {deletion.suspect_count} suspects"
        )

    def _rewrite(self) -> None:
        rewritten = store_rewrite(progress=lambda _: None)
        self.stdout.write(
            f"the Git store was built anew with {rewritten.rebuilt.done} snapshots; commits "
            "have new ids, so remotes have another history: replace them by hand"
        )
        for line in rewritten.rebuilt.named:
            self.stdout.write(line)
        for path in rewritten.kept:
            self.stdout.write(f"still holds what was deleted: {path}")


def _moment(text: str | None) -> datetime | None:
    """The moment that ``--before`` names; a day begins at midnight in the time zone of the site."""
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
        day = None if moment else parse_date(text)
    except ValueError:
        moment = day = None
    if moment is None and day is None:
        raise CommandError(f"--before '{text[:40]}': give a day such as 2026-01-31")
    if moment is None:
        assert day is not None
        moment = datetime.combine(day, time())
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
