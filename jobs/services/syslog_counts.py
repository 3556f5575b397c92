"""What became of syslog messages, added up over all listeners and their restarts."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection

_ADD = """
    INSERT INTO jobs_syslogcount AS known (outcome, count)
    SELECT * FROM unnest(%s::text[], %s::bigint[])
    ON CONFLICT (outcome) DO UPDATE SET count = known.count + EXCLUDED.count
"""


def syslog_counts_add(*, counts: Mapping[str, int]) -> None:
    """Add what a listener has counted since it last did, by outcome; a 0 makes it known."""
    # In one order, so that two listeners cannot lock each other out.
    outcomes = sorted(counts)
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [outcomes, [counts[outcome] for outcome in outcomes]])
