"""What needs a hand, in plain words: nothing here mends itself."""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.conf import settings

from backups.models import Snapshot, SnapshotState
from backups.selectors.freshness import freshness_counts
from jobs.choices import OPEN_RUN_STATUSES
from jobs.models import RunCredential
from jobs.monitoring.facts import QueueFacts, SystemFacts
from jobs.queues import worker_command
from jobs.reports.as_text import duration_in_words
from jobs.selectors.audit_checks import audit_check_last

#: So many rounds in a row that the reconciler missed are no accident.
_MISSED_ROUNDS = 6
_CREDENTIALS_NAMED = 20


def needs_a_hand(*, facts: SystemFacts) -> list[str]:
    """One line per trouble, with what to do; empty when all is well."""
    return [
        *_broker(facts),
        *_workers(facts),
        *_queues(facts),
        *_reconciler(facts),
        *_git(facts),
        *_store_check(facts),
        *_late_runs(facts),
        *_credentials(facts),
        *_freshness(),
        *_audit(),
    ]


def git_store_problem(*, facts: SystemFacts | None = None) -> str:
    """Why this host does not reach the Git store, one line; empty where it does.

    Before the first snapshot came into Git there is no store, and nothing is wrong. Whether one
    did is asked for unless ``facts`` say it.
    """
    path = settings.NETRAVEN.git_directory
    if os.access(path / "HEAD", os.R_OK):
        return ""
    committed = Snapshot.objects.filter(state=SnapshotState.COMMITTED)
    if not (committed.exists() if facts is None else facts.has_commits):
        return ""
    return f"this host does not reach the Git store at {path}; check that its disk is mounted"


def _broker(facts: SystemFacts) -> Iterator[str]:
    if not facts.broker.is_up:
        yield f"{facts.broker.problem}; what waits is sent again when it is back"


def _workers(facts: SystemFacts) -> Iterator[str]:
    if not any(worker.is_alive for worker in facts.workers):
        yield "no worker is alive; start them with 'python manage.py up' or 'manage.py worker'"
        return
    for worker in facts.workers:
        if not worker.is_alive:
            seen = duration_in_words(worker.seen_seconds)
            yield f"worker {worker.node} gave no sign of life for {seen}; look at it or restart it"


def _queues(facts: SystemFacts) -> Iterator[str]:
    for queue in facts.queues:
        if not queue.workers and (queue.is_needed or queue.depth or queue.waiting):
            yield (
                f"nobody serves queue {queue.name}{_backlog(queue)}; run "
                f"'{worker_command(queue.name)}'"
            )


def _backlog(queue: QueueFacts) -> str:
    count = max(queue.depth or 0, queue.waiting)
    if not count:
        return ""
    since = "" if queue.oldest_seconds is None else f", {duration_in_words(queue.oldest_seconds)}"
    return f", in which {count} wait{'s' if count == 1 else ''}{since}"


def _reconciler(facts: SystemFacts) -> Iterator[str]:
    age = facts.reconciler_seconds
    if not any(worker.is_alive for worker in facts.workers):
        return  # it runs in the workers, and that none lives is said already
    if age is None:
        yield "the reconciler has never run; look into the workers' logs"
    elif age > _MISSED_ROUNDS * settings.NETRAVEN.reconcile_seconds:
        yield (
            f"the reconciler was not seen for {duration_in_words(age)}; look into the workers' logs"
        )


def _git(facts: SystemFacts) -> Iterator[str]:
    problem = git_store_problem(facts=facts)
    if problem:
        yield problem
    if (facts.pending_seconds or 0) > settings.NETRAVEN.lease_seconds:
        since = duration_in_words(facts.pending_seconds)
        yield (
            f"{facts.pending_snapshots} snapshots wait for Git, the oldest for {since}; check the "
            "disk of the Git store and the workers' logs"
        )


def _store_check(facts: SystemFacts) -> Iterator[str]:
    if facts.stored_wrong:
        since = duration_in_words(facts.check_seconds)
        yield (
            f"the check of the store {since} ago found {facts.stored_wrong} rows that are wrong; "
            "'git_store' of the API and the page System say what to do"
        )


def _late_runs(facts: SystemFacts) -> Iterator[str]:
    for run in facts.open_runs:
        if run.is_late:
            yield f"run {run.id} of job '{run.job_name}' is past its deadline and still open"


def _credentials(facts: SystemFacts) -> Iterator[str]:
    if not any(run.has_set_aside for run in facts.open_runs):
        return
    aside = RunCredential.objects.filter(
        set_aside_at__isnull=False, run__status__in=OPEN_RUN_STATUSES
    ).order_by("run_id", "credential__name")
    rows = aside.values_list("run_id", "credential__name", "reason")
    for run_id, name, reason in rows[:_CREDENTIALS_NAMED]:
        yield f"run {run_id} has set aside credential '{name}': {reason}"


def _audit() -> Iterator[str]:
    last = audit_check_last()
    if last is not None and last.problem_count:
        yield (
            f"{last.problem_count} entries of the audit log do not fit their seals; "
            "'manage.py verify_audit' names them"
        )


def _freshness() -> Iterator[str]:
    count = freshness_counts().overdue
    if count:
        yield (
            f"{count} device{'s' if count > 1 else ''} should have been backed up by now; "
            "'freshness/devices/?is_overdue=true' of the API and the page Freshness name them"
        )
