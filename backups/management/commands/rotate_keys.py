"""``manage.py rotate_keys``: encrypt archives and credentials anew under the current key."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.services.key_rotation import keys_in_use, keys_removable, keys_rotate
from common.commands import StackCommand
from credentials.cipher import CipherError
from credentials.key_check import redaction_key_accept
from credentials.rotation import DEFAULT_BATCH, Rotation
from credentials.sealed import counted
from credentials.services import installation_cipher


class Command(StackCommand):
    help = (
        "Encrypt archives and credentials anew under the first key of NETRAVEN_ENCRYPTION_KEYS. "
        "Safe while NetRaven runs; cut off, it goes on where it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch",
            type=_batch,
            default=DEFAULT_BATCH,
            metavar="N",
            help=f"values per transaction, {DEFAULT_BATCH} unless given",
        )
        parser.add_argument(
            "--accept-redaction-key",
            action="store_true",
            help="only take NETRAVEN_REDACTION_KEY as it is now for the right one",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["accept_redaction_key"]:
            self._accept_redaction_key(as_json=options["json"])
            return
        try:
            self._waiting = _waiting()
            result = keys_rotate(batch=options["batch"], progress=self._progress)
        except KeyboardInterrupt:
            raise CommandError("stopped; start it again to go on") from None
        except CipherError as error:
            raise CommandError(str(error)) from None
        self._clear_progress()
        (self._print_json if options["json"] else self._print)(result)
        if result.unreadable:
            sys.exit(1)

    def _accept_redaction_key(self, *, as_json: bool) -> None:
        is_new = redaction_key_accept()
        if as_json:
            self.stdout.write(json.dumps({"redaction_key_changed": is_new}))
        elif is_new:
            self.stdout.write(
                "the redaction key is accepted: with their next backup the tokens of all devices "
                "change once"
            )
        else:
            self.stdout.write("the redaction key is the one that was accepted already")

    def _progress(self, noun: str, count: int) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{count} of {counted({noun: self._waiting[noun]})}", ending="")

    def _clear_progress(self) -> None:
        if sys.stderr.isatty():
            self.stderr.write("")

    def _print(self, result: Rotation) -> None:
        current = installation_cipher().current_key_id
        done = {noun: count for noun, count in result.rotated.items() if count}
        self.stdout.write(f"encrypted anew under key '{current}': {counted(done) or 'nothing'}")
        for found in result.unreadable:
            self.stderr.write(
                f"{found.noun} {found.row} ({found.column}) of '{found.name}': {found.reason}"
            )
        for key_id, counts in keys_in_use().items():
            if key_id != current:
                self.stdout.write(f"still under key '{key_id}': {counted(counts)}")
        for key_id in keys_removable():
            self.stdout.write(
                f"nothing needs key '{key_id}' any more: take it out of NETRAVEN_ENCRYPTION_KEYS "
                "once all processes run with the new list, and keep it as long as there are "
                "backups of the database from before"
            )

    def _print_json(self, result: Rotation) -> None:
        row = {
            "current_key": installation_cipher().current_key_id,
            "rotated": result.rotated,
            "in_use": keys_in_use(),
            "removable": keys_removable(),
            "unreadable": [
                {
                    "what": found.noun,
                    "id": found.row,
                    "name": found.name,
                    "column": found.column,
                    "reason": found.reason,
                }
                for found in result.unreadable
            ],
        }
        self.stdout.write(json.dumps(row))


def _waiting() -> Counter[str]:
    """How many values wait to be encrypted anew, by their noun."""
    waiting: Counter[str] = Counter()
    for key_id, counts in keys_in_use().items():
        if key_id != installation_cipher().current_key_id:
            waiting.update(counts)
    return waiting


def _batch(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("give a number from 1 to 10000")
    return number
