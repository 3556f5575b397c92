"""``manage.py suspects``: outputs that were collected and not trusted, and what to do with them."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.errors import DeviceError
from backups.models import Snapshot, Suspect
from backups.selectors.suspects import SuspectNotFound, suspect_newest, suspects_open
from backups.services.suspects import (
    SuspectNotAccepted,
    suspect_accept,
    suspect_dismiss,
    suspect_text,
)
from common.commands import StackCommand, command_line_user
from credentials.cipher import CipherError
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "List outputs that are not trusted, show one redacted, accept or dismiss it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hostname", nargs="?", metavar="HOST")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--show", action="store_true", help="the newest output, redacted")
        what.add_argument(
            "--accept", action="store_true", help="store the newest output as if it were trusted"
        )
        what.add_argument(
            "--dismiss", action="store_true", help="close the newest output without storing it"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        wants_one = options["show"] or options["accept"] or options["dismiss"]
        if options["hostname"] is None and wants_one:
            raise CommandError("--show, --accept and --dismiss need a HOST")
        try:
            self._handle(options)
        except (DeviceNotFound, SuspectNotFound, SuspectNotAccepted, CipherError) as error:
            raise CommandError(str(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None

    def _handle(self, options: dict[str, Any]) -> None:
        if options["hostname"] is None:
            self._list(list(suspects_open()), as_json=options["json"])
            return
        device = device_get(hostname=options["hostname"])
        if options["show"]:
            self._show(suspect_newest(device=device), as_json=options["json"])
        elif options["accept"]:
            self._accept(suspect_newest(device=device), as_json=options["json"])
        elif options["dismiss"]:
            self._dismiss(suspect_newest(device=device), as_json=options["json"])
        else:
            self._list(list(suspects_open().filter(device=device)), as_json=options["json"])

    def _list(self, suspects: list[Suspect], *, as_json: bool) -> None:
        if as_json:
            self._json({"suspects": [_row(suspect) for suspect in suspects]})
            return
        if not suspects:
            self.stdout.write("No output waits for a decision.")
        for suspect in suspects:
            row = _row(suspect)
            self.stdout.write(f"{row['hostname']}  {row['collected_at']}  run {row['run_id']}")
            for reason in row["reasons"]:
                self.stdout.write(f"    {reason}")

    def _show(self, suspect: Suspect, *, as_json: bool) -> None:
        text = suspect_text(suspect=suspect).text
        if as_json:
            self._json(_row(suspect) | {"text": text})
            return
        self.stdout.write(text, ending="")

    def _accept(self, suspect: Suspect, *, as_json: bool) -> None:
        snapshot = suspect_accept(suspect=suspect, accepted_by=command_line_user())
        if as_json:
            self._json(_row(suspect) | {"commit": snapshot.commit})
            return
        self.stdout.write(f"{suspect.device.hostname}: accepted, {_where(snapshot)}")

    def _dismiss(self, suspect: Suspect, *, as_json: bool) -> None:
        suspect_dismiss(suspect=suspect, dismissed_by=command_line_user())
        if as_json:
            self._json(_row(suspect))
            return
        self.stdout.write(f"{suspect.device.hostname}: dismissed")

    def _json(self, value: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(value))


def _where(snapshot: Snapshot) -> str:
    if not snapshot.commit:
        return "but not in Git yet; it is brought there within minutes"
    return f"commit {snapshot.commit[:10]}"


def _row(suspect: Suspect) -> dict[str, Any]:
    return {
        "id": suspect.pk,
        "hostname": suspect.device.hostname,
        "collected_at": suspect.collected_at.isoformat(),
        "run_id": suspect.run_id,
        "reasons": suspect.reasons,
    }
