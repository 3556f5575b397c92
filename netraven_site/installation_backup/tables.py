"""All rows of NetRaven's tables out of a database and into an empty one, by COPY.

Needs no program of PostgreSQL's: the text form of COPY is the same in all its versions, and it
goes from row to file and back without the rows ever being in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import psycopg
from django.apps import apps
from psycopg import sql

from netraven_site.installation_backup.errors import BackupError
from netraven_site.installation_backup.manifest import Sequence

Cursor = psycopg.Cursor[Any]

#: Log-ins in a browser end with the machine on which they were made.
_LEFT_OUT: Final = frozenset({"django_session"})
#: What setting up empty tables writes; the rows of a backup take their place.
FILLED_BY_SETUP: Final = frozenset(
    {"auth_group", "auth_group_permissions", "auth_permission", "django_content_type"}
)
_COLUMNS: Final = """
    SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    GROUP BY c.relname ORDER BY c.relname
"""
_SEQUENCES: Final = """
    SELECT s.relname, t.relname, a.attname
    FROM pg_depend d
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_class t ON t.oid = d.refobjid AND t.relnamespace = current_schema()::regnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
    ORDER BY t.relname, a.attname
"""


_TRIGGERS: Final = """
    SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = current_schema()::regnamespace ORDER BY 1
"""


class Sink(Protocol):
    """Takes bytes."""

    def write(self, data: bytes | bytearray | memoryview, /) -> int: ...


def tables_of(cursor: Cursor) -> dict[str, list[str]]:
    """The columns of each table that is copied."""
    models = apps.get_models(include_auto_created=True)
    known = {model._meta.db_table for model in models} - _LEFT_OUT
    cursor.execute(_COLUMNS)
    return {name: columns for name, columns in cursor.fetchall() if name in known}


def sequences_of(cursor: Cursor, tables: Iterable[str]) -> list[Sequence]:
    """Where the sequences of ``tables`` stand."""
    wanted, found = set(tables), []
    cursor.execute(_SEQUENCES)
    for name, table, column in cursor.fetchall():
        if table not in wanted:
            continue
        query = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier(name))
        last_value, is_called = cursor.execute(query).fetchone() or (1, False)
        found.append(
            Sequence(table=table, column=column, last_value=last_value, is_called=is_called)
        )
    return found


def migrations_of(cursor: Cursor) -> list[tuple[str, str]]:
    """App and name of each migration that the tables have."""
    cursor.execute("SELECT app, name FROM django_migrations ORDER BY id")
    return [(app, name) for app, name in cursor.fetchall()]


def copy_out(cursor: Cursor, table: str, columns: Iterable[str], sink: Sink) -> int:
    """Give ``sink`` all rows of ``table``; how many there were."""
    with cursor.copy(_copy("COPY {} ({}) TO STDOUT", table, columns)) as copy:
        for block in copy:
            sink.write(block)
    return cursor.rowcount


def copy_in(cursor: Cursor, table: str, columns: Iterable[str], blocks: Iterable[bytes]) -> int:
    """Add the rows that ``copy_out`` gave; how many there were."""
    with cursor.copy(_copy("COPY {} ({}) FROM STDIN", table, columns)) as copy:
        for block in blocks:
            copy.write(block)
    return cursor.rowcount


def require_empty(cursor: Cursor) -> None:
    """Raise BackupError, which names a table, unless nothing but the set-up has written rows."""
    for table in tables_of(cursor):
        if table in FILLED_BY_SETUP:
            continue
        query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table))
        if (cursor.execute(query).fetchone() or (True,))[0]:
            raise BackupError(
                f"the database is in use: there are rows in {table}; restore into an empty one, "
                "with web, workers and beat stopped"
            )


def empty(cursor: Cursor) -> None:
    """Take all rows out of all tables that are copied."""
    names = sql.SQL(", ").join(map(sql.Identifier, tables_of(cursor)))
    cursor.execute(sql.SQL("TRUNCATE {}").format(names))


def set_triggers(cursor: Cursor, *, enabled: bool) -> None:
    """Let NetRaven's own triggers act or not; what they would write is in the backup already.

    Those that keep references between rows right are not meant. To be enabled when the references
    were checked, in the same transaction.
    """
    cursor.execute(_TRIGGERS)
    deed = sql.SQL("ENABLE" if enabled else "DISABLE")
    for (table,) in cursor.fetchall():
        statement = sql.SQL("ALTER TABLE {} {} TRIGGER USER").format(sql.Identifier(table), deed)
        cursor.execute(statement)


def set_sequences(cursor: Cursor, sequences: Iterable[Sequence]) -> None:
    """Let each sequence go on where it stood."""
    for row in sequences:
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence(quote_ident(%s), %s), %s, %s)",
            [row.table, row.column, row.last_value, row.is_called],
        )


def require_same(cursor: Cursor, wanted: Mapping[str, Iterable[str]]) -> None:
    """Raise BackupError unless the tables here have the columns that ``wanted`` names."""
    here = tables_of(cursor)
    different = [
        table
        for table in sorted(here.keys() | wanted.keys())
        if sorted(here.get(table, [])) != sorted(wanted.get(table, []))
    ]
    if different:
        raise BackupError(
            f"the tables of the backup are not those of this version ({', '.join(different)}): "
            "restore with the version that made it"
        )


def _copy(statement: str, table: str, columns: Iterable[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL(statement).format(sql.Identifier(table), names)
