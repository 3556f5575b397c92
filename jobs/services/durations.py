"""Counting how long phases of backups take: in memory, and now and then in the database.

A row per device would cost as much as the rest of its record. What a process that ends had
counted since it last wrote is lost: some seconds of statistics.
"""

from __future__ import annotations

import bisect
import threading
from collections import defaultdict
from collections.abc import Mapping

from django.db import connection

from jobs.models import PhaseDuration

#: Upper bounds in seconds.
BOUNDS = (
    *(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0),
    PhaseDuration.LONGEST,
)
_WRITE = """
    INSERT INTO jobs_phaseduration AS known (phase, le, count, seconds)
    SELECT * FROM unnest(%s::text[], %s::float8[], %s::bigint[], %s::float8[])
    ON CONFLICT (phase, le) DO UPDATE
    SET count = known.count + EXCLUDED.count, seconds = known.seconds + EXCLUDED.seconds
"""

_lock = threading.Lock()
_counted: dict[tuple[str, float], tuple[int, float]] = defaultdict(lambda: (0, 0.0))


def durations_count(*, phase_seconds: Mapping[str, float]) -> None:
    """Count one backup whose phases took so long. Asks no database."""
    with _lock:
        for phase, seconds in phase_seconds.items():
            key = (phase, BOUNDS[bisect.bisect_left(BOUNDS, seconds)])
            count, total = _counted[key]
            _counted[key] = (count + 1, total + seconds)


def durations_write() -> None:
    """Add to the database what was counted since the last time; nothing is lost if that fails."""
    with _lock:
        taken = dict(_counted)
        _counted.clear()
    if not taken:
        return
    # In one order, so that two processes cannot lock each other out.
    rows = [(phase, le, *taken[phase, le]) for phase, le in sorted(taken)]
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])
    except Exception:
        with _lock:
            for key, (count, seconds) in taken.items():
                before = _counted[key]
                _counted[key] = (before[0] + count, before[1] + seconds)
        raise
