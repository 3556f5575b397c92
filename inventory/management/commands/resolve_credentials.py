"""``manage.py resolve_credentials``: which credentials fit a device, why, and which is used."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from common.commands import StackCommand
from inventory.resolution import credentials_explained
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "List the credentials that fit a device, first choice first. Shows no secret."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("hostname")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            device = device_get(hostname=options["hostname"])
        except DeviceNotFound as error:
            raise CommandError(str(error)) from None
        found = credentials_explained(device=device)
        if options["json"]:
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))
            return
        if not found["candidates"]:
            self.stdout.write(f"{device.hostname}: no credential fits; add a tag or a credential")
        for row in found["candidates"]:
            self.stdout.write(_line(row))


def _line(row: dict[str, Any]) -> str:
    parts = [row["reason"]]
    if row["remembered"]:
        parts.append("last worked on this device")
    parts += [
        f"{what} {row[key]:%Y-%m-%d %H:%M} UTC"
        for what, key in (("last success", "last_success_at"), ("last failure", "last_failure_at"))
        if row[key] is not None
    ]
    used = "  <- used" if row["used"] else ""
    return (
        f"{row['place']}. {row['name']} (user {row['username']}, priority {row['priority']}): "
        f"{'; '.join(parts)}{used}"
    )
