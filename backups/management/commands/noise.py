"""``manage.py noise``: lines that change by themselves, and rules against them."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.errors import DeviceError
from backups.selectors.noise import (
    MOST_REVISIONS,
    REVISIONS,
    Noise,
    NoiseReport,
    noise_of_device,
    noise_of_platform,
    noise_row,
)
from backups.selectors.snapshots import SnapshotNotFound
from common.commands import StackCommand
from inventory.platforms import UnknownPlatform
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "Find lines that differ in most reads although nobody changed them; propose rules."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hostname", nargs="?", metavar="HOST")
        parser.add_argument("--platform", metavar="P", help="noise that devices of P share")
        parser.add_argument(
            "--revisions",
            type=int,
            metavar="N",
            default=REVISIONS,
            help=f"newest revisions of each device that are looked at; {REVISIONS}",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["hostname"] is None) == (options["platform"] is None):
            raise CommandError("give either a HOST or --platform P")
        if not 2 <= options["revisions"] <= MOST_REVISIONS:
            raise CommandError(f"--revisions takes 2 to {MOST_REVISIONS}")
        try:
            report = _report(options)
        except (DeviceNotFound, SnapshotNotFound, UnknownPlatform) as error:
            raise CommandError(str(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None
        if options["json"]:
            self.stdout.write(json.dumps(noise_row(report=report)))
            return
        self._print(report)

    def _print(self, report: NoiseReport) -> None:
        self.stdout.write(
            f"{report.devices} {'device' if report.devices == 1 else 'devices'} of "
            f"{report.platform}: {report.revisions} revisions, {report.reads} reads"
        )
        if report.covered:
            self.stdout.write(f"Today's rules would have saved {report.covered} of the revisions.")
        if report.is_cut:
            self.stdout.write("Time ran out before all devices were looked at.")
        if not report.noise:
            self.stdout.write("No line changes by itself, as far as the history shows.")
        for noise in report.noise:
            self._print_noise(noise)

    def _print_noise(self, noise: Noise) -> None:
        where = f" in '{noise.section}'" if noise.section else ""
        self.stdout.write(f"\nChanged in {noise.share:.0%} of the reads{where}:")
        self.stdout.write("".join(f"    {line}\n" for line in noise.examples), ending="")
        if len(noise.hostnames) > 1:
            self.stdout.write(f"  on {', '.join(noise.hostnames)}")
        if noise.rule is None:
            self.stdout.write(f"  No rule is proposed: {noise.reason}")
            return
        self.stdout.write(f"  A rule would have saved {noise.revisions_saved} revisions:")
        self.stdout.write("".join(f"    {line}\n" for line in noise.toml.splitlines()), ending="")
        if noise.other_lines:
            self.stdout.write("  It would match these lines too:")
            self.stdout.write("".join(f"    {line}\n" for line in noise.other_lines), ending="")


def _report(options: dict[str, Any]) -> NoiseReport:
    if options["platform"] is not None:
        return noise_of_platform(platform=options["platform"], revisions=options["revisions"])
    device = device_get(hostname=options["hostname"])
    return noise_of_device(device=device, revisions=options["revisions"])
