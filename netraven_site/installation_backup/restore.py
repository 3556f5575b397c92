"""Reading a backup: all of it is checked before anything is written, and all of it or nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pydantic import ValidationError

from backups.engine.errors import DeviceError
from backups.services.history_copy import history_require_room, history_restore, history_try
from credentials.cipher import key_fingerprint
from credentials.key_check import redaction_fingerprint
from credentials.sealed_stream import Opener
from credentials.services import installation_cipher
from netraven_site.installation_backup import tables
from netraven_site.installation_backup.connection import long_transaction
from netraven_site.installation_backup.container import read_sections
from netraven_site.installation_backup.errors import BackupError
from netraven_site.installation_backup.manifest import Manifest, Totals

_DATABASE = "database/"


def installation_backup_check(
    source: io.BufferedReader, opener: Opener, *, unpack: bool
) -> tuple[Manifest, Totals]:
    """Read a backup from its beginning to its end; what it says of itself.

    ``unpack`` its Git store as well, into a folder for temporary files; a restore does that by
    itself, in the place of the store.

    Raises CipherError or BackupError for a file that is not whole, was changed, or was sealed for
    others.
    """
    names, texts = [], {}
    try:
        for name, pieces in read_sections(source, opener):
            names.append(name)
            if name in ("manifest", "totals"):
                texts[name] = b"".join(pieces)
            elif name == "git" and unpack:
                _try_git(pieces, Manifest.model_validate_json(texts["manifest"]))
        manifest = Manifest.model_validate_json(texts["manifest"])
        totals = Totals.model_validate_json(texts["totals"])
    except (KeyError, ValidationError):
        raise BackupError("the file is no backup of NetRaven, or one of a later version") from None
    copied = [f"{_DATABASE}{table}" for table in manifest.tables]
    if names != ["manifest", *copied, "git", "totals"]:
        raise BackupError("the backup lacks parts that it names")
    return manifest, totals


def _try_git(pieces: Iterator[bytes], manifest: Manifest) -> None:
    if not manifest.references:
        return
    try:
        history_try(pieces, manifest.references)
    except DeviceError as error:
        reason = error.message.partition(". Run '")[0]
        raise BackupError(f"the history in the backup cannot be unpacked: {reason}") from None


def require_keys_of(manifest: Manifest) -> None:
    """Raise BackupError unless the configured keys are those that the backup needs.

    NETRAVEN_ALLOW_MISSING_KEYS lets missing ones pass, and another redaction key.
    """
    keys, lenient = installation_cipher().keys, settings.NETRAVEN.allow_missing_keys
    for key_id, fingerprint in manifest.encryption_keys.items():
        if key_id in keys and key_fingerprint(keys[key_id]) != fingerprint:
            raise BackupError(
                f"encryption key '{key_id}' is another one than that of the backup: configure that "
                "one, and any other key under another name"
            )
        if key_id not in keys and not lenient:
            raise BackupError(
                f"the backup needs encryption key '{key_id}': add it to NETRAVEN_ENCRYPTION_KEYS; "
                "if it is lost for good, set NETRAVEN_ALLOW_MISSING_KEYS=true"
            )
    if manifest.redaction_key != redaction_fingerprint() and not lenient:
        raise BackupError(
            "NETRAVEN_REDACTION_KEY is not that of the backup: configure that one; if it is lost "
            "for good, set NETRAVEN_ALLOW_MISSING_KEYS=true and accept the other one afterwards "
            "(docs/howto/keys.md)"
        )


def installation_restore(
    source: io.BufferedReader, opener: Opener, manifest: Manifest, totals: Totals
) -> None:
    """Put a backup that ``installation_backup_check`` has read into empty places.

    Database and Git store are filled together: when this raises, the tables are empty and the
    place of the store is as it was. Then the tables are brought up to this version. Raises
    BackupError, CipherError and DeviceError.
    """
    require_keys_of(manifest)
    history_require_room(manifest.references)
    _make_tables(set(manifest.migrations))
    with long_transaction() as opened, opened.cursor() as cursor:
        tables.require_same(cursor, manifest.tables)
        tables.require_empty(cursor)
        tables.empty(cursor)
        tables.set_triggers(cursor, enabled=False)
        _fill(cursor, read_sections(source, opener), manifest, totals)
    call_command("migrate", interactive=False, verbosity=0)


def _make_tables(wanted: set[tuple[str, str]]) -> None:
    """Make the tables as they were when the backup was written, unless they are there."""
    executor = MigrationExecutor(connection)
    applied, graph = set(executor.loader.applied_migrations), executor.loader.graph
    unknown = sorted(wanted - set(executor.loader.disk_migrations))
    if unknown:
        raise BackupError(
            f"the backup is of a later version ({unknown[0][0]}.{unknown[0][1]} is not known "
            "here): restore with the version that made it"
        )
    if applied == wanted:
        return
    if applied or _tables_are_there():
        raise BackupError(
            "the database holds tables already that are not those of the backup: give an empty one"
        )
    executor.migrate(
        [
            key
            for key in sorted(wanted)
            if not any(
                child.key[0] == key[0] and child.key in wanted
                for child in graph.node_map[key].children
            )
        ]
    )


def _tables_are_there() -> bool:
    """Whether there are tables at all."""
    with connection.cursor() as cursor:
        return bool(connection.introspection.table_names(cursor))


def _fill(
    cursor: tables.Cursor,
    sections: Iterator[tuple[str, Iterator[bytes]]],
    manifest: Manifest,
    totals: Totals,
) -> None:
    """Rows first; the Git store is put in its place when only the commit is left to do."""
    for name, pieces in sections:
        table = name.removeprefix(_DATABASE)
        if table != name:
            rows = tables.copy_in(cursor, table, manifest.tables[table], pieces)
            if rows != totals.rows[table]:
                raise BackupError(f"{table} has {rows} rows after all, not {totals.rows[table]}")
        elif name == "git":
            tables.set_sequences(cursor, manifest.sequences)
            # References between rows are checked here rather than at the commit.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            tables.set_triggers(cursor, enabled=True)
            if manifest.references:
                history_restore(pieces, manifest.references)
