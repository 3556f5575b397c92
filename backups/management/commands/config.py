"""``manage.py config show|diff|history|search|pack``: stored configurations on the command line."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.diff.errors import NoSemanticDiff
from backups.engine.errors import DeviceError
from backups.engine.search import MOST_CONTEXT, PatternError
from backups.management.private_file import write_private_file
from backups.models import Snapshot
from backups.selectors.archives import archive_newest
from backups.selectors.device_filter import DeviceFilter
from backups.selectors.diffs import CONTEXT, Comparison, compare
from backups.selectors.search import FoundDevice, Search, config_search, search_note
from backups.selectors.snapshots import (
    SnapshotNotFound,
    revisions_to_compare,
    snapshot_get,
    snapshot_text,
    snapshots_of,
)
from backups.services.archives import ReasonMissing, archive_read
from backups.services.restore_pack import RawNotKept, restore_pack
from common.commands import StackCommand, command_line_user
from credentials.cipher import CipherError
from inventory.models import Device
from inventory.selectors import DeviceNotFound, device_get

_SEARCH_CONTEXT = range(MOST_CONTEXT + 1)


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
        diff.add_argument(
            "--other", metavar="HOST", help="compare with this device, whose revision is B"
        )
        diff.add_argument("--context", type=int, default=CONTEXT, metavar="N", help="equal lines")
        diff.add_argument(
            "--all-lines", action="store_true", help="also lines that change by themselves"
        )
        form = diff.add_mutually_exclusive_group()
        form.add_argument(
            "--semantic", action="store_true", help="without order that means nothing"
        )
        form.add_argument(
            "--side-by-side", action="store_true", help="rows of both texts; needs --json"
        )
        history = actions.add_parser("history", help="the revisions of a device, newest first")
        history.add_argument("hostname")
        history.add_argument("--limit", type=int, metavar="N", help="so many revisions only")
        search = actions.add_parser("search", help="lines of the newest configurations")
        search.add_argument("regex")
        search.add_argument("--missing", action="store_true", help="devices without such a line")
        search.add_argument("--tag", help="only devices with this tag")
        search.add_argument("--platform", help="only devices of this platform")
        search.add_argument("--ignore-case", action="store_true")
        search.add_argument("--fixed", action="store_true", help="plain text instead of a pattern")
        search.add_argument("--context", type=int, default=0, metavar="N", choices=_SEARCH_CONTEXT)
        search.add_argument("--limit", type=int, metavar="N", help="so many devices only")
        pack = actions.add_parser("pack", help="a zip with all that restoring the device needs")
        pack.add_argument("hostname")
        pack.add_argument("--revision", metavar="SHA")
        pack.add_argument("--reason", required=True, help="why; kept with your name")
        pack.add_argument("--output", type=Path, metavar="FILE.zip", help="readable by you alone")
        for action in (show, diff, history, search, pack):
            action.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(**options)
        except (DeviceNotFound, SnapshotNotFound, NoSemanticDiff, CipherError) as error:
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

    def _pack(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        snapshot = snapshot_get(device=device, revision=options["revision"])
        try:
            pack = restore_pack(
                snapshot=snapshot, reader=command_line_user(), reason=options["reason"]
            )
        except (RawNotKept, ReasonMissing) as error:
            raise CommandError(str(error)) from None
        path: Path = options["output"] or Path(pack.file_name)
        write_private_file(path, pack.payload)
        if options["json"]:
            size = {"file": str(path), "file_size_bytes": len(pack.payload)}
            self.stdout.write(json.dumps(_row(snapshot) | size))
            return
        self.stdout.write(f"{path}: {len(pack.payload)} bytes; begin with RESTORE.md in it")

    def _diff(self, **options: Any) -> None:
        if options["context"] < 0:
            raise CommandError("--context takes 0 or more")
        if options["side_by_side"] and not options["json"]:
            raise CommandError("--side-by-side gives data: add --json")
        other = options["other"] and device_get(hostname=options["other"])
        old, new = revisions_to_compare(
            device=device_get(hostname=options["hostname"]),
            old=options["old"],
            new=options["new"],
            other=other or None,
        )
        comparison = compare(old=old, new=new, ignore_volatile=not options["all_lines"])
        if options["json"]:
            self.stdout.write(json.dumps(_diff_row(comparison, options)))
        elif options["semantic"]:
            self.stdout.write(comparison.semantic(), ending="")
        else:
            self.stdout.write(comparison.unified(context=options["context"]), ending="")

    def _history(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        snapshots = snapshots_of(device=device)[: _limit(options)]
        rows = [_row(snapshot) for snapshot in snapshots]
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
        limit = _limit(options)
        search = Search(
            pattern=options["regex"],
            ignore_case=options["ignore_case"],
            literal=options["fixed"],
            missing=options["missing"],
            context=options["context"],
            most_lines=None,
            devices=DeviceFilter(
                tags=(options["tag"],) if options["tag"] else (),
                platform=options["platform"] or "",
            ),
        )
        try:
            found = islice(config_search(search=search), limit)
        except PatternError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self._write_found_json(found, with_context=search.context > 0)
        else:
            for device in found:
                self._write_found(device, missing=search.missing)
        note = search_note(search=search)
        if note:
            self.stderr.write(note)

    def _write_found_json(self, found: Iterable[FoundDevice], *, with_context: bool) -> None:
        """One object, written device by device, so that a large answer is never held as a whole."""
        self.stdout.write('{"devices": [', ending="")
        for number, device in enumerate(found):
            row = json.dumps(_found_row(device, with_context=with_context))
            self.stdout.write(f"{', ' if number else ''}{row}", ending="")
        self.stdout.write("]}")

    def _write_found(self, device: FoundDevice, *, missing: bool) -> None:
        if missing:
            self.stdout.write(device.hostname)
        for match in device.matches:
            first = match.line - len(match.before)
            for number, text in enumerate((*match.before, match.text, *match.after), start=first):
                mark = ":" if number == match.line else "-"
                self.stdout.write(f"{device.hostname}{mark}{number}{mark} {text}")


def _limit(options: dict[str, Any]) -> int | None:
    """How many entries are wanted; None for all."""
    limit: int | None = options["limit"]
    if limit is None:
        return None
    if limit < 1:
        raise CommandError("--limit takes 1 or more")
    return min(limit, sys.maxsize)


def _row(snapshot: Snapshot) -> dict[str, Any]:
    last_read = snapshot.last_read_at
    return {
        "id": snapshot.pk,
        "hostname": snapshot.device.hostname,
        "commit": snapshot.commit,
        "state": snapshot.state,
        "collected_at": snapshot.collected_at.isoformat(timespec="seconds"),
        "size_bytes": snapshot.size_bytes,
        "lines_added": snapshot.lines_added,
        "lines_removed": snapshot.lines_removed,
        "run_id": snapshot.run_id,
        "job_name": snapshot.job_name,
        "changed_by": snapshot.changed_by,
        "imported_from": snapshot.imported_from,
        "read_count": snapshot.read_count,
        "last_read_at": last_read.isoformat(timespec="seconds") if last_read else None,
    }


def _diff_row(comparison: Comparison, options: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "hostname": comparison.old.device.hostname,
        "other_hostname": comparison.new.device.hostname,
        "from": comparison.old.commit,
        "from_id": comparison.old.pk,
        "to": comparison.new.commit,
        "to_id": comparison.new.pk,
    }
    if options["semantic"]:
        return row | {"diff": comparison.semantic()}
    if options["side_by_side"]:
        return row | {
            "rows": [asdict(line) for line in comparison.rows(context=options["context"])]
        }
    return row | {"diff": comparison.unified(context=options["context"])}


def _found_row(device: FoundDevice, *, with_context: bool) -> dict[str, Any]:
    keys = ("line", "text", "before", "after") if with_context else ("line", "text")
    matches = [{key: getattr(match, key) for key in keys} for match in device.matches]
    return {"hostname": device.hostname, "matches": matches}
