"""A connection apart from Django's, for transactions that last as long as a backup."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

#: Long transactions, and values that read the same whatever the server prefers.
_OPTIONS = (
    "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=10000 "
    "-c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex"
)


@contextmanager
def long_transaction() -> Iterator[psycopg.Connection[Any]]:
    """One transaction that sees the database as it was at its first query.

    Committed at the end of the block, rolled back on an exception.
    """
    with connection.wrap_database_errors:
        parameters = {**connection.get_connection_params(), "options": _OPTIONS}
        with psycopg.connect(**parameters) as opened:
            opened.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            with opened.transaction():
                yield opened
