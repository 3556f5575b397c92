"""What a message says: a few lines for people, the same as JSON for programs. All redacted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from django.conf import settings
from django.urls import reverse

from backups.engine.errors import DeviceError
from backups.selectors.changes import ChangeQuery, change_groups, fleet_changes
from backups.selectors.snapshots import SnapshotNotFound
from inventory.models import Device
from jobs.choices import EventKind
from jobs.models import JobRun, NotificationEvent, NotificationMessage
from jobs.notifications.channel import Content

logger = structlog.get_logger(__name__)

#: Events of one kind that a message names; JSON has more of them.
EVENTS_NAMED = 20
EVENTS_IN_PAYLOAD = 500
#: Different changes, and lines of their diffs in all, that a message brings.
CHANGES_SHOWN = 10
DIFF_LINES = 300
_TITLES = {
    EventKind.CONFIG_CHANGED: "Configuration changed",
    EventKind.RUN_FAILED: "Run failed",
    EventKind.RUN_PARTIAL: "Run failed in part",
    EventKind.RUN_RECOVERED: "Run is well again",
    EventKind.DEVICE_FAILING: "Failing",
    EventKind.DEVICE_RECOVERED: "Recovered",
    EventKind.SUSPECT: "Suspect outputs",
    EventKind.HOST_KEY_CHANGED: "Another host key",
    EventKind.FRESHNESS_MISSED: "Backup overdue",
    EventKind.PUSH_FAILING: "Git push failing",
    EventKind.PUSH_RECOVERED: "Git push works again",
    EventKind.AUDIT_BROKEN: "The audit log was changed past NetRaven",
}
_TEST_TEXT = "A test message: whoever reads it gets the messages of NetRaven."


def message_content(*, message: NotificationMessage) -> Content:
    """The content of ``message``, made of its events as they stand."""
    events = list(NotificationEvent.objects.filter(pk__in=message.event_ids).order_by("pk"))
    run = message.run
    diff = _diff(run, events) if message.with_diff and run is not None else ""
    text = "\n".join(_lines(message, events, run))
    return Content(
        delivery_id=str(message.delivery_id),
        subject=message.subject,
        text=text,
        diff=diff,
        payload={
            "id": str(message.delivery_id),
            "created_at": message.created_at,
            "rule": message.rule.name if message.rule else None,
            "is_test": not message.event_ids,
            "subject": message.subject,
            "text": text,
            "run": _run_payload(run),
            "events": [_event_payload(event) for event in events[:EVENTS_IN_PAYLOAD]],
            "event_count": len(message.event_ids),
            "diff": diff,
        },
    )


def _lines(
    message: NotificationMessage, events: Sequence[NotificationEvent], run: JobRun | None
) -> Iterable[str]:
    if not message.event_ids:
        yield _TEST_TEXT
        return
    if run is not None:
        yield (
            f"Job {run.job_name}, run {run.pk}: {run.status}, {run.succeeded_count} of "
            f"{run.total_count} devices backed up"
        )
        if settings.NETRAVEN.site_url:
            yield settings.NETRAVEN.site_url + reverse("admin:jobs_jobrun_change", args=[run.pk])
    by_kind: dict[EventKind, list[NotificationEvent]] = defaultdict(list)
    for event in events:
        by_kind[EventKind(event.kind)].append(event)
    for kind, some in by_kind.items():
        yield ""
        yield f"{_TITLES[kind]} ({len(some)})"
        for event in some[:EVENTS_NAMED]:
            again = "" if event.is_change else " (as before)"
            yield f"  {event.subject}: {event.text}{again}"
        if len(some) > EVENTS_NAMED:
            yield f"  … and {len(some) - EVENTS_NAMED} more"


def _diff(run: JobRun, events: Sequence[NotificationEvent]) -> str:
    """What the changed devices of ``events`` have in common, once each; cut to DIFF_LINES."""
    ids = {
        one.device_id
        for one in events
        if one.kind == EventKind.CONFIG_CHANGED and one.device_id is not None
    }
    query = ChangeQuery(run_id=run.pk, scope=Device.objects.filter(pk__in=ids))
    try:
        groups: Any = list(change_groups(query=query)[: CHANGES_SHOWN + 1])
        changes = fleet_changes(query=query, groups=groups[:CHANGES_SHOWN])
    except (SnapshotNotFound, DeviceError) as error:
        logger.warning("message.without_diff", run=run.pk, error=str(error))
        return ""
    lines: list[str] = []
    for change in changes:
        count = change.group["device_count"]
        if count > 1:
            names = ", ".join(one.device.hostname for one in change.snapshots)
            more = f" and {count - len(change.snapshots)} more" if count > 10 else ""
            lines.append(f"# the same on {count} devices: {names}{more}\n")
        lines += change.diff.splitlines(keepends=True)
        if change.is_diff_cut:
            lines.append("# … this change goes on\n")
    if len(lines) > DIFF_LINES or len(groups) > CHANGES_SHOWN:
        lines = [*lines[:DIFF_LINES], "# … there is more; look at the run\n"]
    return "".join(lines)


def _run_payload(run: JobRun | None) -> dict[str, Any] | None:
    if run is None:
        return None
    return {
        "id": run.pk,
        "job": run.job_name,
        "status": run.status,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "total": run.total_count,
        "succeeded": run.succeeded_count,
    }


def _event_payload(event: NotificationEvent) -> dict[str, Any]:
    return {
        "id": event.pk,
        "key": event.key,
        "kind": event.kind,
        "severity": event.severity,
        "is_change": event.is_change,
        "subject": event.subject,
        "device": event.device_id,
        "text": event.text,
        "happened_at": event.happened_at,
    }
