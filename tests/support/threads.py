"""Work in threads of their own, each with its own database connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import QuerySet

_T = TypeVar("_T")
_SECONDS = 30.0


def in_thread(pool: ThreadPoolExecutor, work: Callable[[], _T]) -> Future[_T]:
    """``work`` in a thread of ``pool``; its database connection is closed after it."""

    def run() -> _T:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(run)


def all_at_once(count: int, work: Callable[[], _T]) -> list[_T]:
    """What ``count`` threads give that start ``work`` at the same moment."""
    barrier = threading.Barrier(count)

    def start() -> _T:
        connection.ensure_connection()
        barrier.wait(_SECONDS)
        return work()

    with ThreadPoolExecutor(count) as pool:
        futures = [in_thread(pool, start) for _ in range(count)]
        return [future.result(_SECONDS) for future in futures]


def each_at_once(*works: Callable[[], _T]) -> list[_T]:
    """What ``works`` give, each in a thread of its own, all started at the same moment."""
    left = list(works)
    return all_at_once(len(works), lambda: left.pop()())


def waits_for_lock() -> bool:
    """Whether some database session is waiting for a lock of another one."""
    with connection.cursor() as cursor:
        # Inside a transaction, what the first look has found is kept.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return bool(cursor.fetchone()[0])


def is_free(rows: QuerySet[Any]) -> bool:
    """Whether nobody holds a lock of any of ``rows``."""
    with transaction.atomic():
        wanted = rows.count()
        return len(rows.select_for_update(skip_locked=True)) == wanted
