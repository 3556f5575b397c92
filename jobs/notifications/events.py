"""Which events the rows of a run, the devices, the Git remotes and the audit log stand for.

Nothing is written here. Each event has a key of its own, the same whenever it is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from backups.models import GitRemote, RemoteState
from backups.selectors.freshness import with_freshness
from inventory.models import Device
from jobs.choices import EventKind, ResultStatus, RunStatus
from jobs.models import DeviceResult, JobRun, NotificationEvent
from jobs.policy.notifications import (
    SEVERITIES,
    TELLING_RESULT_STATUSES,
    TELLING_RUN_STATUSES,
    EventDecision,
    device_decision,
    run_decision,
)
from jobs.selectors.audit_checks import audit_check_last

_TEXT_LENGTH, _SUBJECT_LENGTH = 600, 255
_FAILED_PUSHES = (RemoteState.FAILED, RemoteState.DIVERGED)
#: A push that failed once is tried again within a minute; that is nobody's business.
_PUSH_FAILURES = 3


def run_events(*, run: JobRun, kinds: frozenset[EventKind]) -> list[NotificationEvent]:
    """What the ended ``run`` is worth telling of ``kinds``; three queries at the most."""
    events = [*_of_run(run), *_of_devices(run)]
    if EventKind.CONFIG_CHANGED in kinds:
        events += _changes(run)
    return [event for event in events if event.kind in kinds]


def freshness_events() -> list[NotificationEvent]:
    """The active devices that should have been backed up by now, each once per last backup."""
    devices = with_freshness(devices=Device.objects.filter(is_active=True), of_all=True)
    return [
        _event(
            EventKind.FRESHNESS_MISSED,
            key=f"freshness:{device.pk}:{_stamp(device.last_backup_at)}",
            subject=device.hostname,
            text=_last_backup(device),
            device_id=device.pk,
        )
        for device in devices.filter(due_of_all__lt=Now()).order_by("hostname")
    ]


def push_events() -> list[NotificationEvent]:
    """Git remotes that cannot be pushed to, and those that could not and can again.

    A streak of failures is known by the last success before it.
    """
    events = [
        _event(
            EventKind.PUSH_FAILING,
            key=f"push:{remote.pk}:{_stamp(remote.pushed_at)}:{remote.state}",
            subject=remote.name,
            text=remote.error,
        )
        for remote in GitRemote.objects.filter(is_enabled=True, state__in=_FAILED_PUSHES)
        if remote.state == RemoteState.DIVERGED or remote.failures >= _PUSH_FAILURES
    ]
    told = NotificationEvent.objects.filter(kind=EventKind.PUSH_FAILING)
    for remote in GitRemote.objects.filter(is_enabled=True, state=RemoteState.OK):
        last = told.filter(key__startswith=f"push:{remote.pk}:").order_by("-pk").first()
        if last is not None:
            events.append(
                _event(
                    EventKind.PUSH_RECOVERED,
                    key=f"push-recovered:{last.pk}",
                    subject=remote.name,
                    text="pushed again",
                )
            )
    return events


def audit_events() -> list[NotificationEvent]:
    """That the audit log does not fit its seals, and again when more of it does not."""
    last = audit_check_last()
    if last is None or last.broken_since is None:
        return []
    return [
        _event(
            EventKind.AUDIT_BROKEN,
            key=f"audit:{_stamp(last.broken_since)}:{last.problem_count}",
            subject="audit log",
            text=f"{last.problem_count} entries do not fit their seals, the first: {last.problem}",
        )
    ]


def _of_run(run: JobRun) -> Iterator[NotificationEvent]:
    """How the run ended; of one without a job, which has none before it, its devices tell."""
    if run.job_id is None and _telling(run).exists():
        return
    before = (
        JobRun.objects.filter(
            job=run.job_id, pk__lt=run.pk, status__in=_values(TELLING_RUN_STATUSES)
        )
        .order_by("-pk")
        .values_list("status", flat=True)
        .first()
    )
    last = RunStatus(before) if before and run.job_id else None
    decision = run_decision(status=RunStatus(run.status), before=last)
    if decision is not None:
        reason = f": {run.status_reason}" if run.status_reason else ""
        yield _decided(
            decision,
            key=f"run:{run.pk}",
            subject=run.job_name,
            text=f"{run.status}, {run.succeeded_count} of {run.total_count} devices backed up"
            f"{reason}",
            run=run,
        )


def _of_devices(run: JobRun) -> Iterator[NotificationEvent]:
    before = DeviceResult.objects.filter(
        device=OuterRef("device"),
        pk__lt=OuterRef("pk"),
        status__in=_values(TELLING_RESULT_STATUSES),
    ).order_by("-pk")
    results = _telling(run).annotate(
        before=Subquery(before.values("status")[:1]),
        category_before=Subquery(before.values("error_category")[:1]),
    )
    # Of devices that are well as before there are thousands, and nothing is to be told of them.
    for result in results.exclude(status=ResultStatus.SUCCEEDED, before=ResultStatus.SUCCEEDED):
        decision = device_decision(
            status=ResultStatus(result.status),
            category=result.error_category,
            before=None if result.before is None else ResultStatus(result.before),
            category_before=result.category_before or "",
        )
        if decision is not None:
            category = f"{result.error_category}: " if result.error_category else ""
            recovered = decision.kind is EventKind.DEVICE_RECOVERED
            yield _decided(
                decision,
                key=f"result:{result.pk}",
                subject=result.hostname,
                text="backed up again" if recovered else f"{category}{result.error_message}",
                run=run,
                device_id=result.device_id,
            )


def _telling(run: JobRun) -> QuerySet[Any]:
    return run.results.filter(status__in=_values(TELLING_RESULT_STATUSES)).order_by("hostname")


def _changes(run: JobRun) -> Iterator[NotificationEvent]:
    """First revisions are no changes: there is nothing that they change."""
    changed = _telling(run).filter(config_changed=True).exclude(snapshot__change_digest="")
    for result in changed.select_related("snapshot"):
        snapshot = result.snapshot
        if snapshot is None:
            continue
        author = f", by {snapshot.changed_by}" if snapshot.changed_by else ""
        yield _event(
            EventKind.CONFIG_CHANGED,
            key=f"snapshot:{snapshot.pk}",
            subject=result.hostname,
            text=f"+{snapshot.lines_added} -{snapshot.lines_removed} lines{author}",
            run=run,
            device_id=result.device_id,
        )


def _decided(decision: EventDecision, **fields: Any) -> NotificationEvent:
    return _event(decision.kind, is_change=decision.is_change, **fields)


def _event(kind: EventKind, *, subject: str, text: str, **fields: Any) -> NotificationEvent:
    return NotificationEvent(
        kind=kind.value,
        severity=SEVERITIES[kind].value,
        subject=subject[:_SUBJECT_LENGTH],
        # Devices have a say in it: one line of printable characters.
        text="".join(one if one.isprintable() else " " for one in text)[:_TEXT_LENGTH],
        **fields,
    )


def _last_backup(device: Any) -> str:
    if device.last_backup_at is None:
        return f"never backed up; the objective is {device.objective_hours} h"
    return (
        f"last backed up {device.last_backup_at:%Y-%m-%d %H:%M} UTC; the objective is "
        f"{device.objective_hours} h"
    )


def _stamp(at: Any) -> str:
    return "never" if at is None else str(at.isoformat())


def _values(statuses: Iterable[Any]) -> Sequence[str]:
    return sorted(str(status) for status in statuses)
