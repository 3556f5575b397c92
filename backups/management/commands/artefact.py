"""``manage.py artefact add|list|get``: files that are kept beside the configuration."""

from __future__ import annotations

import json
import mimetypes
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from backups.management.private_file import write_private_file
from backups.models import Archive
from backups.selectors.archives import ArtefactNotFound, artefact_get, artefacts_of
from backups.services.archives import ReasonMissing, archive_read
from backups.services.artefacts import DEFAULT_MEDIA_TYPE, artefact_store
from common.commands import StackCommand, command_line_user, one_line
from credentials.cipher import CipherError
from inventory.selectors import DeviceNotFound, device_get


class Command(StackCommand):
    help = "Keep a file of a device encrypted beside its configuration, list such files, get one."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        add = actions.add_parser("add", help="store a file; the same bytes again change nothing")
        add.add_argument("hostname")
        add.add_argument("file", type=Path)
        add.add_argument("--name", help="the name of the file unless given")
        add.add_argument("--media-type", help="guessed from the name unless given")
        listing = actions.add_parser("list", help="the newest file of each name")
        listing.add_argument("hostname")
        get = actions.add_parser("get", help="the newest file of a name, byte by byte")
        get.add_argument("hostname")
        get.add_argument("name")
        get.add_argument("--reason", required=True, help="kept with your name")
        get.add_argument("--output", type=Path, metavar="FILE", help="readable by you alone")
        for action in (add, listing):
            action.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(**options)
        except (DeviceNotFound, ArtefactNotFound, ReasonMissing, CipherError) as error:
            raise CommandError(str(error)) from None
        except ValidationError as error:
            raise CommandError(one_line(error)) from None

    def _add(self, **options: Any) -> None:
        path: Path = options["file"]
        name = options["name"] or path.name
        artefact, is_new = artefact_store(
            device=device_get(hostname=options["hostname"]),
            name=name,
            payload=_read(path),
            media_type=options["media_type"] or mimetypes.guess_type(name)[0] or DEFAULT_MEDIA_TYPE,
        )
        if options["json"]:
            self.stdout.write(json.dumps(_row(artefact) | {"stored": is_new}))
            return
        what = "stored" if is_new else "these bytes are stored already, nothing was done"
        self.stdout.write(f"{artefact.device.hostname}: {artefact.name}: {what}")

    def _list(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        rows = [_row(artefact) for artefact in artefacts_of(device=device)]
        if options["json"]:
            self.stdout.write(json.dumps({"hostname": device.hostname, "artefacts": rows}))
            return
        if not rows:
            self.stdout.write(f"{device.hostname} has no artefacts")
        for row in rows:
            self.stdout.write(
                f"{row['name']}  {row['size_bytes']} bytes  {row['media_type']}  "
                f"{row['collected_at']}"
            )

    def _get(self, **options: Any) -> None:
        device = device_get(hostname=options["hostname"])
        artefact = artefact_get(device=device, name=options["name"])
        raw = archive_read(archive=artefact, reader=command_line_user(), reason=options["reason"])
        output: Path | None = options["output"]
        if output is None:
            self.stdout.flush()
            sys.stdout.buffer.write(raw)
            sys.stdout.buffer.flush()
            return
        write_private_file(output, raw)
        self.stdout.write(f"{output}: {len(raw)} bytes")


def _read(path: Path) -> bytes:
    """The bytes of ``path``; one more than the limit allows when there are too many."""
    try:
        with path.open("rb") as file:
            return file.read(settings.NETRAVEN.max_artefact_bytes + 1)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def _row(artefact: Archive) -> dict[str, Any]:
    return {
        "id": artefact.pk,
        "name": artefact.name,
        "media_type": artefact.media_type,
        "size_bytes": artefact.size_bytes,
        "collected_at": artefact.collected_at.isoformat(timespec="seconds"),
    }
