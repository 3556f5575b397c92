"""``manage.py changes``: what changed in the fleet, equal changes as one."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from backups.engine.errors import DeviceError
from backups.selectors.changes import (
    ChangeKind,
    ChangeQuery,
    FleetChange,
    change_groups,
    fleet_changes,
)
from backups.selectors.snapshots import SnapshotNotFound
from common.commands import StackCommand

_AGE = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(StackCommand):
    help = "List what changed, equal changes of several devices as one, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--run", type=int, metavar="ID", help="only in this run")
        parser.add_argument(
            "--since",
            metavar="WHEN",
            help="30m, 24h, 7d or a time such as 2026-05-01T00:00+02:00; "
            "24h unless --run or this is given",
        )
        parser.add_argument("--tag", help="only devices with this tag")
        parser.add_argument("--author", metavar="NAME", help="only changes by this user")
        parser.add_argument(
            "--min-devices", type=int, default=1, metavar="N", help="only what N devices share"
        )
        parser.add_argument("--limit", type=int, default=50, metavar="N", help="entries; 50")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1 or options["min_devices"] < 1:
            raise CommandError("--limit and --min-devices take 1 or more")
        since = _since(options["since"]) if options["since"] else None
        if since is None and options["run"] is None:
            since = timezone.now() - timedelta(hours=24)
        try:
            changes, first = (
                _changes(kind, since=since, options=options)
                for kind in (ChangeKind.CHANGE, ChangeKind.FIRST)
            )
        except SnapshotNotFound as error:
            raise CommandError(str(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None
        if options["json"]:
            rows = {"changes": list(map(_row, changes)), "first_revisions": list(map(_row, first))}
            self.stdout.write(json.dumps(rows))
            return
        self._print(changes, first)

    def _print(self, changes: list[FleetChange], first: list[FleetChange]) -> None:
        if not (changes or first):
            self.stdout.write("Nothing changed.")
        for change in changes:
            group = change.group
            self.stdout.write(f"{_head(change)}  +{group['added']} -{group['removed']}")
            self.stdout.write(f"  {_devices(change)}")
            self.stdout.write("".join(f"    {line}\n" for line in change.diff.splitlines()))
            if change.is_diff_cut:
                self.stdout.write("    … and more; 'config diff' shows all of it")
        for change in first:
            self.stdout.write(f"{_head(change)}  first revisions")
            self.stdout.write(f"  {_devices(change)}")


def _changes(
    kind: ChangeKind, *, since: datetime | None, options: dict[str, Any]
) -> list[FleetChange]:
    query = ChangeQuery(
        kind=kind,
        since=since,
        run_id=options["run"],
        tag=options["tag"],
        author=options["author"],
        min_devices=options["min_devices"],
    )
    groups = list(change_groups(query=query)[: min(options["limit"], sys.maxsize)])
    return fleet_changes(query=query, groups=groups)


def _since(value: str) -> datetime:
    age = _AGE.fullmatch(value)
    if age is not None:
        return timezone.now() - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        when = parse_datetime(value)
    except ValueError:  # the right form with wrong numbers
        when = None
    if when is None:
        raise CommandError(
            f"'{value}' is no time: give 30m, 24h, 7d or a time such as 2026-05-01T00:00+02:00"
        )
    return timezone.make_aware(when) if timezone.is_naive(when) else when


def _head(change: FleetChange) -> str:
    group = change.group
    count = group["device_count"]
    run = f"run {group['run_id']} {group['job_name']}" if group["run_id"] else "outside of runs"
    when = group["newest_at"].isoformat(timespec="seconds")
    return f"{when}  {run}  {count} {'device' if count == 1 else 'devices'}"


def _devices(change: FleetChange) -> str:
    names = [snapshot.device.hostname for snapshot in change.snapshots]
    more = change.group["device_count"] - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _row(change: FleetChange) -> dict[str, Any]:
    group = change.group
    return {
        "run_id": group["run_id"],
        "job_name": group["job_name"],
        "collected_at": group["newest_at"].isoformat(timespec="seconds"),
        "change_digest": group["change_digest"],
        "device_count": group["device_count"],
        "devices": [snapshot.device.hostname for snapshot in change.snapshots],
        "lines_added": group["added"],
        "lines_removed": group["removed"],
        "sample": {
            "hostname": change.sample.device.hostname,
            "commit": change.sample.commit,
        },
        "diff": change.diff,
        "is_diff_cut": change.is_diff_cut,
    }
