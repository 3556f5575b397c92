"""``manage.py backup_create FILE``: the whole installation in one encrypted file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from backups.engine.errors import DeviceError
from common.commands import StackCommand
from credentials.cipher import CipherError
from credentials.sealed_stream import Opener
from netraven_site.installation_backup.create import installation_backup_write
from netraven_site.installation_backup.errors import BackupError
from netraven_site.installation_backup.manifest import Manifest, Totals
from netraven_site.installation_backup.passphrase import opener_from


class Command(StackCommand):
    help = (
        "Write database and Git store, both of one moment, into one encrypted file. Jobs may run "
        "meanwhile. The keys are not in it: keep them apart."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="must not be there yet")
        parser.add_argument(
            "--passphrase-file",
            type=Path,
            metavar="FILE",
            help="encrypt with the passphrase in its first line, not with the current key",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            if path.exists():
                raise CommandError(f"{path} is there already; name another file")
            manifest, totals = _write(path, opener_from(options["passphrase_file"]))
        except (BackupError, CipherError, DeviceError) as error:
            raise CommandError(getattr(error, "message", str(error))) from None
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
        self._report(path, manifest, totals, as_json=options["json"])

    def _report(self, path: Path, manifest: Manifest, totals: Totals, *, as_json: bool) -> None:
        size = path.stat().st_size
        if as_json:
            answer = {"file": str(path), "bytes": size, "made_at": manifest.made_at.isoformat()}
            self.stdout.write(json.dumps(answer | {"rows": sum(totals.rows.values())}))
            return
        self.stdout.write(
            f"{path}: {sum(totals.rows.values())} rows of {len(totals.rows)} tables and the Git "
            f"store as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, {size} bytes"
        )
        self.stdout.write("the keys are not in it; keep a copy of them in another place")


def _write(path: Path, opener: Opener) -> tuple[Manifest, Totals]:
    """Write the file beside its place, readable by this user alone, and move it there at last."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".netraven-backup-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            made = installation_backup_write(file, opener)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return made
