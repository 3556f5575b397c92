"""Metrics about what is stored, where it is pushed to, who is told of it, and who tells."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from django.db.models import Count, DurationField, ExpressionWrapper, F
from django.db.models.functions import Extract, Now
from prometheus_client.core import Metric

from backups.models import Archive, GitRemote, Snapshot, SnapshotState
from backups.selectors.remotes import remote_lag
from jobs.choices import MessageState
from jobs.models import (
    AuditCheck,
    NotificationMessage,
    NotificationTarget,
    ReconcilerTick,
    SyslogCount,
    Tick,
)
from jobs.monitoring.families import counted, labelled, plain


def store_metrics() -> Iterator[Metric]:
    """Nine queries, and one for each enabled Git remote."""
    yield from _stored()
    yield from _remotes()
    yield from _notifications()
    yield counted(
        "netraven_syslog_messages",
        "Messages that syslog listeners got, and what became of them",
        "outcome",
        SyslogCount.objects.order_by("outcome").values_list("outcome", "count"),
    )
    yield from _audit()
    age = ExpressionWrapper(Now() - F("last_at"), output_field=DurationField())
    beat = ReconcilerTick.objects.filter(pk=Tick.BEAT).values_list(Extract(age, "epoch")).first()
    yield plain(
        "netraven_beat_age_seconds",
        "Since beat last went round",
        None if beat is None else float(beat[0]),
    )


def _audit() -> Iterator[Metric]:
    age = ExpressionWrapper(Now() - F("checked_at"), output_field=DurationField())
    rows = AuditCheck.objects.values_list("problem_count", Extract(age, "epoch"))
    problems, seconds = rows.first() or (None, None)
    yield plain(
        "netraven_audit_problems",
        "Entries of the audit log that do not fit their seals, at the last check",
        problems,
    )
    yield plain("netraven_audit_check_age_seconds", "Since the audit log was checked", seconds)


def _stored() -> Iterator[Metric]:
    rows = dict(Snapshot.objects.order_by().values_list("state").annotate(Count("pk")))
    yield labelled(
        "netraven_snapshots",
        "Stored revisions, by state",
        ("state",),
        (((state,), rows.get(state, 0)) for state in SnapshotState.values),
    )
    yield plain("netraven_archives", "Raw copies and binary artefacts", Archive.objects.count())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_total_relation_size(%s::regclass), pg_database_size(current_database())",
            [Archive._meta.db_table],
        )
        archive, database = cursor.fetchone()
    yield plain("netraven_archive_bytes", "What they take in the database, compressed", archive)
    yield plain("netraven_database_bytes", "The whole database on its disk", database)


def _remotes() -> Iterator[Metric]:
    remotes = list(GitRemote.objects.filter(is_enabled=True).order_by("name"))
    lags = [(remote, remote_lag(remote=remote)) for remote in remotes]
    yield labelled(
        "netraven_git_remote_lag_snapshots",
        "Snapshots that a Git remote has yet to get",
        ("remote",),
        (((remote.name,), lag.snapshots) for remote, lag in lags),
    )
    yield labelled(
        "netraven_git_remote_lag_seconds",
        "Since the oldest of them was collected",
        ("remote",),
        (((remote.name,), lag.seconds or 0.0) for remote, lag in lags),
    )
    yield labelled(
        "netraven_git_remote_failures",
        "Failed pushes to a Git remote in a row",
        ("remote",),
        (((remote.name,), remote.failures) for remote in remotes),
    )


def _notifications() -> Iterator[Metric]:
    rows = dict(NotificationMessage.objects.order_by().values_list("state").annotate(Count("pk")))
    yield labelled(
        "netraven_notifications",
        "Messages to people that are kept, by state; FAILED ones were given up",
        ("state",),
        (((state,), rows.get(str(state), 0)) for state in MessageState),
    )
    failing = NotificationTarget.objects.filter(is_enabled=True).order_by("name")
    yield labelled(
        "netraven_notification_target_failures",
        "Failed deliveries to a target in a row",
        ("target",),
        (((name,), count) for name, count in failing.values_list("name", "failures")),
    )
