"""``manage.py verify_store``: do database, archive and Git agree, and mending it if not."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from backups.engine.errors import DeviceError
from backups.services.repair import Repaired, store_repair
from backups.services.verify import rows_to_check, store_verify
from backups.services.verify_report import ADVICE, Finding, Problem, Report
from common.commands import StackCommand
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_get

#: More of one kind are counted, not printed; --json names up to a thousand.
_MOST_PRINTED = 20


class Command(StackCommand):
    help = (
        "Check that every stored configuration is in Git, that the raw copies can be opened and "
        "that nothing is damaged; exit status 1 when something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--repair", action="store_true", help="mend what can be mended")
        what.add_argument("--device", metavar="HOST", help="only what belongs to this device")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            repaired = self._work(options)
        except (DeviceNotFound, DeviceError) as error:
            raise CommandError(getattr(error, "message", str(error))) from None
        report = repaired.after
        if options["json"]:
            self.stdout.write(json.dumps(_as_json(repaired, is_repair=options["repair"])))
        else:
            self._print_done(repaired)
            self._print(report)
        if not report.is_clean:
            sys.exit(1)

    def _work(self, options: dict[str, Any]) -> Repaired:
        device = device_get(hostname=options["device"]) if options["device"] else None
        with _progress(device, shown=not options["json"]) as advance:
            if options["repair"]:
                return store_repair(progress=advance)
            return Repaired(after=store_verify(progress=advance, device=device))

    def _print_done(self, repaired: Repaired) -> None:
        for line in (*repaired.done, *repaired.named):
            self.stdout.write(line)
        if repaired.replaced is not None:
            self.stdout.write(f"what was there before is in {repaired.replaced}")

    def _print(self, report: Report) -> None:
        looked_at = ", ".join(f"{number} {what}" for what, number in report.checked.items())
        self.stdout.write(f"checked: {looked_at or 'nothing is stored yet'}")
        for note in report.notes:
            self.stdout.write(f"note: {note}")
        for problem, findings in report.findings.items():
            self._print_problem(problem, findings, report.counts[problem])
        if report.is_clean:
            self.stdout.write("nothing is wrong")

    def _print_problem(self, problem: Problem, findings: list[Finding], count: int) -> None:
        self.stdout.write(f"{problem}: {count}")
        for finding in findings[:_MOST_PRINTED]:
            self.stdout.write(f"    {_place(finding)}{finding.detail}")
        if len(findings) > _MOST_PRINTED:
            self.stdout.write(f"    and more; --json names up to {len(findings)}")
        self.stdout.write(f"    what to do: {ADVICE[problem]}")


@contextmanager
def _progress(device: Device | None, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; it starts again where a repair checks once more."""
    if not (shown and sys.stderr.isatty()):
        yield lambda _: None
        return
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("checking", total=rows_to_check(device=device))

        def advance(more: int) -> None:
            if bar.finished:
                bar.reset(task)
            bar.advance(task, more)

        yield advance


def _place(finding: Finding) -> str:
    """Which rows a finding is about, as the beginning of a line."""
    parts = [finding.hostname] if finding.hostname else []
    if finding.snapshot_id is not None:
        parts.append(f"snapshot {finding.snapshot_id}")
    if finding.archive_id is not None:
        parts.append(f"archive {finding.archive_id}")
    return f"{', '.join(parts)}: " if parts else ""


def _as_json(repaired: Repaired, *, is_repair: bool) -> dict[str, Any]:
    report = repaired.after
    answer: dict[str, Any] = {
        "ok": report.is_clean,
        "checked": dict(report.checked),
        "notes": report.notes,
        "problems": [
            {
                "problem": str(problem),
                "count": report.counts[problem],
                "advice": ADVICE[problem],
                "findings": [_row(finding) for finding in findings],
            }
            for problem, findings in report.findings.items()
        ],
    }
    if is_repair:
        answer["repair"] = {
            "done": repaired.done,
            "named": repaired.named,
            "replaced": str(repaired.replaced) if repaired.replaced else None,
        }
    return answer


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "hostname": finding.hostname or None,
        "snapshot_id": finding.snapshot_id,
        "archive_id": finding.archive_id,
        "detail": finding.detail,
        "count": finding.count,
    }
