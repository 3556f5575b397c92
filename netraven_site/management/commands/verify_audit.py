"""``manage.py verify_audit``: was the audit log changed behind NetRaven's back?"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from netraven_site.audit_seals import AuditFindings, audit_verify, configured_keys

_HEAD = re.compile(r"[1-9][0-9]{0,17}:[0-9a-f]{64}")
#: More are counted, not printed; --json has up to a thousand.
_MOST_PRINTED = 20


class Command(StackCommand):
    help = (
        "Check that no entry of the audit log was changed, deleted or put in past NetRaven; exit "
        "status 1 when one was. Keep the head that is printed elsewhere, for --expect."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--expect",
            metavar="HEAD",
            help="head of an earlier check: what was sealed then has to be there still",
        )
        parser.add_argument(
            "--old-keys",
            type=Path,
            metavar="FILE",
            help="redaction keys beside those of the configuration, one a line",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        expected = options["expect"]
        if expected is not None and not _HEAD.fullmatch(expected):
            raise CommandError("--expect: a head is NUMBER:DIGEST, as this command prints it")
        keys = [*configured_keys(), *_old_keys(options["old_keys"])]
        findings = audit_verify(keys=keys, expected=expected)
        if options["json"]:
            self.stdout.write(json.dumps({"ok": not findings.problem_count, **asdict(findings)}))
        else:
            self._print(findings)
        if findings.problem_count:
            sys.exit(1)

    def _print(self, findings: AuditFindings) -> None:
        self.stdout.write(
            f"{findings.entries} entries, {findings.sealed} sealed, {findings.waiting} wait for it"
        )
        self.stdout.write(f"head: {findings.head or 'none'}")
        for problem in findings.problems[:_MOST_PRINTED]:
            self.stdout.write(f"    {problem}")
        more = findings.problem_count - _MOST_PRINTED
        if more > 0:
            self.stdout.write(f"    and {more} more")
        if findings.problem_count:
            self.stdout.write(
                f"{findings.problem_count} problems: somebody wrote to the database past NetRaven, "
                "or the redaction key was changed (NETRAVEN_OLD_REDACTION_KEYS, --old-keys)"
            )
        else:
            self.stdout.write("nothing is wrong")


def _old_keys(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CommandError(f"{path}: {reason}") from None
    return [line.strip() for line in lines if line.strip()]
