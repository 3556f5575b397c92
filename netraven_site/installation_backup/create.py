"""Writing a backup while NetRaven works."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from datetime import datetime
from typing import IO, Any

import psycopg

from backups.services.history_copy import (
    history_kept_still,
    history_references,
    history_require_sound,
    history_write,
)
from backups.services.key_rotation import keys_in_use
from credentials.cipher import key_fingerprint
from credentials.key_check import redaction_fingerprint
from credentials.sealed_stream import Opener
from credentials.services import installation_cipher
from netraven_site.installation_backup import tables
from netraven_site.installation_backup.connection import long_transaction
from netraven_site.installation_backup.container import BackupWriter
from netraven_site.installation_backup.errors import BackupError
from netraven_site.installation_backup.manifest import Manifest, Totals
from netraven_site.version import VERSION

#: How often the ten seconds of ``lock_timeout`` are waited for.
_LOCK_ATTEMPTS = 6


def installation_backup_write(target: IO[bytes], opener: Opener) -> tuple[Manifest, Totals]:
    """Write database and Git store, both of one moment, sealed into ``target``.

    Devices may be backed up meanwhile; their commits wait for milliseconds at that moment. Raises
    BackupError, and DeviceError when the Git store is gone or damaged.
    """
    writer = BackupWriter(target, opener)
    with ExitStack() as resources:
        resources.enter_context(history_kept_still())
        history_require_sound()
        opened = resources.enter_context(long_transaction())
        cursor = resources.enter_context(opened.cursor())
        made_at, references = _moment(opened, cursor)
        manifest = _manifest(cursor, made_at, references)
        writer.add("manifest", manifest.model_dump_json())
        rows = {}
        for table, columns in manifest.tables.items():
            with writer.section(f"database/{table}") as section:
                rows[table] = tables.copy_out(cursor, table, columns, section)
        with writer.section("git") as section:
            if references:
                history_write(references, section)
        totals = Totals(rows=rows, git_bytes=section.size)
        writer.add("totals", totals.model_dump_json())
        writer.finish()
    return manifest, totals


def _moment(
    opened: psycopg.Connection[Any], cursor: tables.Cursor
) -> tuple[datetime, dict[str, str]]:
    """Begin what the transaction sees, at a moment when Git has what the rows say.

    Whoever commits to Git holds the row of its device until the rows follow, so none does while
    this has the lock. It is given back with the savepoint; what the transaction sees stays.
    """
    for _ in range(_LOCK_ATTEMPTS):
        moment = None
        with suppress(psycopg.errors.LockNotAvailable), opened.transaction():
            cursor.execute("LOCK TABLE inventory_device IN EXCLUSIVE MODE")
            row = cursor.execute("SELECT clock_timestamp()").fetchone()
            assert row is not None
            moment = row[0], history_references()
            raise psycopg.Rollback
        if moment is not None:
            return moment
    raise BackupError("the devices were locked by others for a minute; try again later")


def _manifest(cursor: tables.Cursor, made_at: datetime, references: dict[str, str]) -> Manifest:
    copied, keys = tables.tables_of(cursor), installation_cipher().keys
    return Manifest(
        made_at=made_at,
        version=VERSION,
        migrations=tables.migrations_of(cursor),
        tables=copied,
        sequences=tables.sequences_of(cursor, copied),
        references=references,
        encryption_keys={
            key_id: key_fingerprint(keys[key_id]) for key_id in keys_in_use() if key_id in keys
        },
        redaction_key=redaction_fingerprint(),
    )
