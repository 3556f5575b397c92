"""``manage.py reset_breaker``: take devices up again that scheduled runs leave out."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import StackCommand
from inventory.breaker import breaker_reset
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "Forget the failures of devices, so that scheduled runs try them again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hosts", nargs="*", metavar="HOST", help="hostname of a device")
        parser.add_argument("--all", action="store_true", help="every device")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["hosts"]) == options["all"]:
            raise CommandError("give one HOST or more, or --all")
        devices = Device.objects.all()
        if options["hosts"]:
            devices = devices.filter(pk__in=[_id_of(name) for name in options["hosts"]])
        count = breaker_reset(devices=devices)
        self.stdout.write(f"{count} devices had failures; scheduled runs try them again")


def _id_of(hostname: str) -> int:
    try:
        return device_get(hostname=hostname).pk
    except DeviceNotFound as error:
        raise CommandError(f"{error}; nothing was reset") from None
