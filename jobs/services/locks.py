"""Locks that say nothing of rows: one per limit, held until the end of the transaction."""

from __future__ import annotations

import zlib
from collections.abc import Collection

from django.db import connection

#: First half of the lock's id: advisory locks are shared by everything in the database.
_LIMITS = 0x4E65744C
_LINES = 0x4E65744D


def lock_limits(*, keys: Collection[str]) -> None:
    """Have claims under these limits go one after the other. Needs a transaction."""
    _lock(_LIMITS, keys)


def lock_lines(*, keys: Collection[str]) -> None:
    """Have releases from the lines of these keys go one after the other. Needs a transaction."""
    _lock(_LINES, keys)


def _lock(space: int, keys: Collection[str]) -> None:
    """Lock them in one order, so that nobody waits in a circle."""
    numbers = sorted({zlib.crc32(key.encode()) - 2**31 for key in keys})
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, number) FROM unnest(%s::int[]) AS number",
            [space, numbers],
        )
