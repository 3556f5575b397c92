"""``manage.py export_devices``: the devices as CSV, JSON or an inventory for Ansible."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from common.commands import StackCommand
from inventory.exports import ExportFormat, devices_export
from inventory.models import Device


class Command(StackCommand):
    help = "Write the devices to standard output; no secret is among it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--format",
            choices=[one.value for one in ExportFormat],
            default=ExportFormat.CSV.value,
            help="csv can be imported again; ansible is a YAML inventory of the active devices",
        )
        parser.add_argument("--tag", help="only devices with this tag")

    def handle(self, *args: Any, **options: Any) -> None:
        devices = Device.objects.all()
        if options["tag"]:
            devices = devices.filter(tags__name__iexact=options["tag"])
        for part in devices_export(devices=devices, kind=ExportFormat(options["format"])):
            self.stdout.write(part, ending="")
