"""``manage.py test_connection``: how far a session with devices gets, step by step."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.netmiko_collector.probe import StepReport
from common.commands import StackCommand
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_get
from jobs.services.connection_test import ConnectionTest
from jobs.zone_tests import connections_test_from_their_zones


class Command(StackCommand):
    help = (
        "Log in to devices and out again, and say how each step went. Stores nothing. A "
        "worker of the device's zone does it, without a zone this process. The exit code is 0 only "
        "if all pass."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hostnames", nargs="*", metavar="HOSTNAME")
        parser.add_argument("--tag", metavar="NAME", help="and the active devices with this tag")
        parser.add_argument("--json", action="store_true", help="print one JSON object per line")

    def handle(self, *args: Any, **options: Any) -> None:
        failed = False
        devices = _devices(options["hostnames"], options["tag"])
        for test in connections_test_from_their_zones(devices=devices):
            failed = failed or not test.passed
            self.stdout.write(_as_json(test) if options["json"] else _as_text(test))
        if failed:
            sys.exit(1)


def _devices(hostnames: list[str], tag: str | None) -> list[Device]:
    try:
        ids = {device_get(hostname=hostname).pk: None for hostname in hostnames}
    except DeviceNotFound as error:
        raise CommandError(str(error)) from None
    if tag is not None:
        tagged = Device.objects.filter(is_active=True, tags__name__iexact=tag)
        ids |= dict.fromkeys(tagged.values_list("pk", flat=True))
        if not ids:
            raise CommandError(f"there is no active device with the tag '{tag}'")
    if not ids:
        raise CommandError("name a device, or a tag with --tag")
    devices = Device.objects.select_related("zone").in_bulk(ids)
    return [devices[pk] for pk in ids if pk in devices]


def _as_json(test: ConnectionTest) -> str:
    return json.dumps({"passed": test.passed, **asdict(test)})


def _as_text(test: ConnectionTest) -> str:
    lines = [f"{test.hostname}: {'passed' if test.passed else 'FAILED'}" + _with(test.credential)]
    lines += [f"  {_step(step)}" for step in test.steps]
    if not test.passed:
        lines.append(f"  {test.error_category}: {test.error_message}")
    return "\n".join(lines)


def _with(credential: str | None) -> str:
    return f", with credential '{credential}'" if credential else ""


def _step(report: StepReport) -> str:
    took = "" if report.seconds is None else f" in {report.seconds:.2f} s"
    return f"{report.step.value:<10} {report.outcome.value.replace('_', ' ')}{took}"
