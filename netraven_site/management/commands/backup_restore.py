"""``manage.py backup_restore FILE``: an installation out of its backup, on an empty machine."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from backups.engine.errors import DeviceError
from backups.services.verify import store_verify
from credentials.cipher import CipherError
from credentials.sealed_stream import Opener
from netraven_site.installation_backup.errors import BackupError
from netraven_site.installation_backup.passphrase import opener_from
from netraven_site.installation_backup.restore import (
    installation_backup_check,
    installation_restore,
    require_keys_of,
)
from netraven_site.stack.database_alone import database_alone
from netraven_site.stack.errors import StackError

_ERRORS = (BackupError, CipherError, DeviceError, StackError)


class Command(BaseCommand):
    help = (
        "Check a file of backup_create and restore it into an empty database and an empty Git "
        "store: all of it or nothing. NetRaven must not run; the embedded database is started "
        "for it."
    )
    #: The checks would ask a database that is not there yet.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--passphrase-file",
            type=Path,
            metavar="FILE",
            help="the passphrase with which the file was encrypted is its first line",
        )
        parser.add_argument(
            "--check", action="store_true", help="say whether it could be restored; write nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            with path.open("rb") as file:
                self._restore(file, opener_from(options["passphrase_file"]), options["check"])
        except _ERRORS as error:
            raise CommandError(getattr(error, "message", str(error))) from None
        except DatabaseError as error:
            reason = " ".join(str(error).split())
            raise CommandError(f"nothing was restored; the database says: {reason}") from None
        except OSError as error:
            raise CommandError(f"{error.filename or path}: {error.strerror}") from None

    def _restore(self, file: io.BufferedReader, opener: Opener, only_check: bool) -> None:
        manifest, totals = installation_backup_check(file, opener, unpack=only_check)
        require_keys_of(manifest)
        self.stdout.write(
            f"the backup of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC by NetRaven "
            f"{manifest.version} is whole: {sum(totals.rows.values())} rows"
        )
        if only_check:
            return
        file.seek(0)
        with database_alone(settings.NETRAVEN, say=self.stdout.write):
            installation_restore(file, opener, manifest, totals)
            self.stdout.write("database and Git store are restored; comparing them")
            report = store_verify(progress=lambda _: None)
        if not report.is_clean:
            self.stderr.write("not all is right; 'python manage.py verify_store' says what is not")
            sys.exit(1)
        self.stdout.write("nothing is wrong; start NetRaven")
