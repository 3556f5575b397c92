"""Looking for what is to be told: ended runs, overdue devices, failing pushes, a broken seal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from jobs.choices import EventKind
from jobs.models import JobRun, NotificationEvent, Tick
from jobs.notifications.events import audit_events, freshness_events, push_events, run_events
from jobs.notifications.rules import Listener, events_tell, kinds_wanted, listeners
from jobs.services.ticks import tick_take

_RUNS_AT_ONCE = 20
#: The age of every device is looked at; nobody is told of it to the second.
FRESHNESS_EVERY = timedelta(minutes=5)
_PUSHES = frozenset({EventKind.PUSH_FAILING, EventKind.PUSH_RECOVERED})


def notifications_collect() -> int:
    """Make messages of what has happened; how many. Safe in many processes at once.

    Without a rule nothing is looked at, and what happens then is never told.
    """
    rules = listeners()
    if not rules:
        _unnotified().update(notified_at=Now())
        return 0
    count = _of_runs(rules)
    kinds = kinds_wanted(rules)
    if kinds & _PUSHES:
        count += _tell(push_events, rules)
    if EventKind.AUDIT_BROKEN in kinds:
        count += _tell(audit_events, rules)
    if EventKind.FRESHNESS_MISSED in kinds and _is_my_turn():
        count += _tell(freshness_events, rules)
    return count


def _of_runs(rules: list[Listener]) -> int:
    ids = list(_unnotified().order_by("pk").values_list("pk", flat=True)[:_RUNS_AT_ONCE])
    return sum(_of_run(run_id, rules) for run_id in ids)


@transaction.atomic
def _of_run(run_id: int, rules: list[Listener]) -> int:
    """Tell of one run, and note that it was told, both or neither."""
    rows = _unnotified().select_for_update(of=("self",), skip_locked=True, no_key=True)
    run = rows.filter(pk=run_id).first()
    if run is None:
        return 0
    events = run_events(run=run, kinds=kinds_wanted(rules))
    count = events_tell(events=events, rules=rules, run=run)
    JobRun.objects.filter(pk=run_id).update(notified_at=Now())
    return count


def _tell(find: Callable[[], list[NotificationEvent]], rules: list[Listener]) -> int:
    try:
        return events_tell(events=find(), rules=rules)
    except IntegrityError:
        return 0  # another process told the same at the same moment


def _is_my_turn() -> bool:
    return tick_take(tick=Tick.FIND_OVERDUE, every=FRESHNESS_EVERY)


def _unnotified() -> QuerySet[JobRun]:
    return JobRun.objects.filter(finished_at__isnull=False, notified_at=None)
