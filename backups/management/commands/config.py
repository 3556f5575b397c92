"""``manage.py config show|diff|history|search``: stored configurations on the command line."""

from __future__ import annotations

import base64
import json
import re
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.errors import DeviceError
from backups.models import Snapshot
from backups.selectors.archives import archive_newest
from backups.selectors.diffs import unified_diff
from backups.selectors.snapshots import (
    SnapshotNotFound,
    newest_texts,
    snapshot_before,
    snapshot_get,
    snapshot_text,
    snapshots_of,
)
from backups.services.archives import archive_read
from credentials.cipher import CipherError
from credentials.management.base import StackCommand, command_line_user
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "Show, compare, list and search stored configurations."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        show = actions.add_parser("show", help="the configuration of a device, redacted")
        show.add_argument("hostname")
        show.add_argument("--revision", metavar="SHA")
        show.add_argument("--raw", action="store_true", help="as the device printed it")
        show.add_argument("--reason", help="why the raw configuration is read; kept with your name")
        diff = actions.add_parser("diff", help="what changed, by default in the last revision")
        diff.add_argument("hostname")
        diff.add_argument("old", nargs="?", metavar="A")
        diff.add_argument("new", nargs="?", metavar="B")
        history = actions.add_parser("history", help="the revisions of a device, newest first")
        history.add_argument("hostname")
        search = actions.add_parser("search", help="lines of the newest configurations")
        search.add_argument("regex")
        search.add_argument("--missing", action="store_true", help="devices without such a line")
        search.add_argument("--tag", help="only devices with this tag")
        for action in (show, diff, history, search):
            action.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(**options)
        except (DeviceNotFound, SnapshotNotFound, CipherError) as error:
            raise CommandError(str(error)) from None
        except DeviceError as error:
            raise CommandError(error.message) from None

    def _show(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        snapshot = snapshot_get(device=device, revision=options["revision"])
        if options["raw"]:
            self._show_raw(device, snapshot, options["reason"], as_json=options["json"])
            return
        text = snapshot_text(snapshot=snapshot)
        if options["json"]:
            self.stdout.write(json.dumps(_row(snapshot) | {"text": text}))
            return
        self.stdout.write(text, ending="")

    def _show_raw(
        self, device: Device, snapshot: Snapshot, reason: str | None, *, as_json: bool
    ) -> None:
        if not (reason and reason.strip()):
            raise CommandError("--raw needs --reason TEXT; it is kept with your name")
        archive = archive_newest(snapshot=snapshot)
        if archive is None:
            raise CommandError(f"{device.hostname}: the raw copy of this revision is not kept")
        raw = archive_read(archive=archive, reader=command_line_user(), reason=reason)
        if as_json:
            encoded = base64.b64encode(raw).decode()
            self.stdout.write(json.dumps(_row(snapshot) | {"raw_base64": encoded}))
            return
        self.stdout.flush()
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()

    def _diff(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        new = snapshot_get(device=device, revision=options["new"])
        old: Snapshot | None
        if options["old"]:
            old = snapshot_get(device=device, revision=options["old"])
        else:
            old = snapshot_before(snapshot=new)
        if old is None:
            raise CommandError(
                f"{device.hostname} has one revision only; there is nothing to compare"
            )
        diff = unified_diff(old=old, new=new)
        if options["json"]:
            row = {"hostname": device.hostname, "from": old.commit, "to": new.commit, "diff": diff}
            self.stdout.write(json.dumps(row))
            return
        self.stdout.write(diff, ending="")

    def _history(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        rows = [_row(snapshot) for snapshot in snapshots_of(device=device).select_related("device")]
        if options["json"]:
            self.stdout.write(json.dumps({"hostname": device.hostname, "revisions": rows}))
            return
        if not rows:
            self.stdout.write(f"{device.hostname} has no stored configuration yet")
        for row in rows:
            self.stdout.write(
                f"{row['commit'][:10] or 'pending':10}  {row['collected_at']}  "
                f"+{row['lines_added']} -{row['lines_removed']}  "
                f"run {row['run_id']}  {row['job_name']}"
            )

    def _search(self, **options: Any) -> None:
        try:
            pattern = re.compile(options["regex"])
        except re.error as error:
            raise CommandError(f"'{options['regex']}' is no regular expression: {error}") from None
        found: list[dict[str, Any]] = []
        for newest in newest_texts(tag=options["tag"]):
            lines = [
                {"line": number, "text": line}
                for number, line in enumerate(newest.text.splitlines(), start=1)
                if pattern.search(line)
            ]
            if bool(lines) != options["missing"]:
                found.append({"hostname": newest.device.hostname, "matches": lines})
        if options["json"]:
            self.stdout.write(json.dumps({"devices": found}))
            return
        for entry in found:
            if options["missing"]:
                self.stdout.write(str(entry["hostname"]))
            for match in entry["matches"]:
                self.stdout.write(f"{entry['hostname']}:{match['line']}: {match['text']}")


def _row(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "hostname": snapshot.device.hostname,
        "commit": snapshot.commit,
        "state": snapshot.state,
        "collected_at": snapshot.collected_at.isoformat(timespec="seconds"),
        "size_bytes": snapshot.size_bytes,
        "lines_added": snapshot.lines_added,
        "lines_removed": snapshot.lines_removed,
        "run_id": snapshot.run_id,
        "job_name": snapshot.job_name,
    }
