"""``manage.py secrets shared|device|stale|index``: where secrets stand, by their tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.models import SecretUse
from backups.selectors.device_filter import DeviceFilter
from backups.selectors.secrets import (
    PlacedSecret,
    device_secret_uses,
    placed_secrets,
    shared_secret_rows,
    shared_secrets,
    stale_secret_uses,
)
from backups.services import projections
from common.commands import StackCommand
from inventory.selectors import DeviceNotFound, device_get

_AT_ONCE = 500
_DAYS = re.compile(r"(\d{1,5})d?")


class Command(StackCommand):
    help = "Report which secrets devices share, where they stand and how old they are, by tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        shared = actions.add_parser("shared", help="secrets that more than one device has")
        shared.add_argument("--min-devices", type=int, default=2, metavar="N")
        device = actions.add_parser("device", help="the secrets of one device")
        device.add_argument("hostname")
        stale = actions.add_parser("stale", help="secrets that have not changed for long")
        stale.add_argument("--older-than", default="90d", metavar="DAYS", help="for example 90d")
        for action in (shared, stale):
            action.add_argument("--tag", help="only devices with this tag")
            action.add_argument("--platform", help="only devices of this platform")
        for action in (shared, device, stale):
            action.add_argument("--json", action="store_true")
        index = actions.add_parser(
            "index", help="bring reports and search up to date now; workers do so by themselves"
        )
        index.add_argument("hostname", nargs="?", help="make all of this device anew")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(**options)
        except (DeviceNotFound, projections.NotIndexed) as error:
            raise CommandError(str(error)) from None

    def _shared(self, **options: Any) -> None:
        devices = _device_filter(options)
        shared = shared_secrets(device_filter=devices, min_devices=options["min_devices"])
        rows = shared_secret_rows(rows=shared, device_filter=devices)
        if options["json"]:
            self._write_json({"secrets": [asdict(row) for row in rows]})
            return
        for row in rows:
            names = ", ".join(device.hostname for device in row.devices)
            rest = row.device_count - len(row.devices)
            self.stdout.write(
                f"{row.token}  {row.device_count} devices, last changed "
                f"{row.oldest_change_at:%Y-%m-%d} to {row.newest_change_at:%Y-%m-%d}: "
                f"{names}{f' and {rest} more' if rest else ''}"
            )
            for place in row.places:
                self.stdout.write(f"          {place}")

    def _device(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        rows = placed_secrets(uses=device_secret_uses(device=device))
        if options["json"]:
            self._write_json(
                {"hostname": device.hostname, "secrets": [asdict(row) for row in rows]}
            )
            return
        for row in rows:
            self.stdout.write(f"{row.line_number:6}  {_described(row)}")

    def _stale(self, **options: Any) -> None:
        uses = stale_secret_uses(
            older_than=_days(options["older_than"]), device_filter=_device_filter(options)
        )
        rows = _in_parts(uses.iterator(chunk_size=_AT_ONCE))
        if options["json"]:
            self._write_json({"secrets": [asdict(row) for row in rows]})
            return
        for row in rows:
            self.stdout.write(f"{row.hostname}:{row.line_number}  {_described(row)}")

    def _index(self, **options: Any) -> None:
        if options["hostname"]:
            count = projections.rebuild(device=device_get(hostname=options["hostname"]))
        else:
            count = 0
            while done := projections.catch_up(limit=_AT_ONCE):
                count += done
        self.stdout.write(f"revisions indexed: {count}")

    def _write_json(self, answer: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(answer, default=_time))


def _in_parts(uses: Iterable[SecretUse]) -> Iterable[PlacedSecret]:
    remaining = iter(uses)
    while part := list(islice(remaining, _AT_ONCE)):
        yield from placed_secrets(uses=part)


def _described(row: PlacedSecret) -> str:
    token = row.token or "constant"
    others = "1 other device" if row.shared_with == 1 else f"{row.shared_with} other devices"
    shared = f", also on {others}" if row.shared_with else ""
    return f"{token:8}  {row.age_days:5} days{shared}: {row.place}"


def _device_filter(options: dict[str, Any]) -> DeviceFilter:
    return DeviceFilter(
        tags=(options["tag"],) if options["tag"] else (), platform=options["platform"] or ""
    )


def _days(text: str) -> timedelta:
    match = _DAYS.fullmatch(text)
    if match is None:
        raise CommandError(f"--older-than {text[:20]}: give a number of days, for example 90d")
    return timedelta(days=int(match[1]))


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(f"{type(value).__name__} is not for JSON")
