"""``manage.py check_keys``: which keys the stored values need, and whether they are right."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.services.key_rotation import keys_check
from common.commands import StackCommand
from credentials.cipher import CipherError
from credentials.key_check import redaction_key_problem
from credentials.sealed import counted
from credentials.services import installation_cipher


class Command(StackCommand):
    help = "List the keys that archives and credentials need, and say which are missing or wrong."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            current, findings = installation_cipher().current_key_id, keys_check()
        except CipherError as error:
            raise CommandError(str(error)) from None
        problems = [*findings.wrong, *findings.missing, *filter(None, [redaction_key_problem()])]
        if options["json"]:
            row = {"current_key": current, "in_use": findings.uses, "problems": problems}
            self.stdout.write(json.dumps(row))
        else:
            self.stdout.write(f"the current key is '{current}'")
            for key_id, counts in findings.uses.items():
                self.stdout.write(f"key '{key_id}': {counted(counts)}")
            for problem in problems:
                self.stderr.write(problem)
        if problems:
            sys.exit(1)
