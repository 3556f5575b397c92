"""Puts the database back to how the migrations left it after a test that commits, and quickly.

Django truncates all tables and then makes permissions and groups anew, whatever the test has done:
half a second of work, where most tests leave some rows in some tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from psycopg import sql

_Flush = Callable[[TransactionTestCase], None]


class Emptying:
    """Knows the rows that belong into the database, and removes all others."""

    def __init__(self) -> None:
        self._tables = sorted(connection.introspection.django_table_names(only_existing=True))
        self._lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
            sql.SQL(", ").join(map(sql.Identifier, self._tables))
        )
        self.remember()

    def remember(self) -> None:
        """Take the rows that are there for those that belong there."""
        with connection.cursor() as cursor:
            self._kept = {table: _digests(cursor, table) for table in self._tables}
        self._changed = sql.SQL(" UNION ALL ").join(
            _is_changed(table, kept) for table, kept in self._kept.items()
        )

    def remove_the_rest(self) -> bool:
        """Remove the rows that do not belong there; False, with all of them left, where one that
        does has been changed or deleted.

        Waits for transactions that somebody still has open, as a TRUNCATE does.
        """
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(self._lock)
            cursor.execute(self._changed)
            whole = all(self._clear(cursor, table) for (table,) in cursor.fetchall())
            transaction.set_rollback(not whole)
        return whole

    def _clear(self, cursor: Any, table: str) -> bool:
        kept = self._kept[table]
        delete = sql.SQL("DELETE FROM {} t").format(sql.Identifier(table))
        if not kept:
            cursor.execute(delete)
            return True
        cursor.execute(delete + sql.SQL(" WHERE md5(t::text) <> ALL(%s)"), [kept])
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
        return bool(cursor.fetchone()[0] == len(kept))


@contextmanager
def quick_emptying() -> Iterator[None]:
    """Empty the database so after each test that commits; it has just been set up."""
    emptying = Emptying()
    flush: _Flush = vars(TransactionTestCase)["_fixture_teardown"]

    def empty(case: TransactionTestCase) -> None:
        if not emptying.remove_the_rest():
            flush(case)
            emptying.remember()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield


def _digests(cursor: Any, table: str) -> list[str]:
    """One for each row of a table."""
    cursor.execute(sql.SQL("SELECT md5(t::text) FROM {} t").format(sql.Identifier(table)))
    return [digest for (digest,) in cursor.fetchall()]


def _is_changed(table: str, kept: list[str]) -> sql.Composed:
    """A query whose one row is the table's name, or which has none when nothing is changed."""
    name, rows = sql.Literal(table), sql.Identifier(table)
    if not kept:
        return sql.SQL("SELECT {} WHERE EXISTS (SELECT FROM {})").format(name, rows)
    return sql.SQL(
        "SELECT {} WHERE ARRAY(SELECT md5(t::text) FROM {} t ORDER BY 1) IS DISTINCT FROM {}"
    ).format(name, rows, sql.Literal(sorted(kept)))
