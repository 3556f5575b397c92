"""Rules, and from events to messages: which rule wants which event, and when it is told.

Events and their messages are written together, so that what was found is told once, whatever dies
in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from credentials.models import Tag
from inventory.models import Device
from jobs.choices import EventKind, Severity
from jobs.models import (
    Job,
    JobRun,
    NotificationEvent,
    NotificationMessage,
    NotificationRule,
    NotificationTarget,
)
from jobs.policy.notifications import is_urgent_enough
from jobs.schedule_rules import parse_blackouts
from jobs.selectors.clock import database_now

_IN_WORDS = {
    EventKind.CONFIG_CHANGED: "{} changed",
    EventKind.RUN_FAILED: "run failed",
    EventKind.RUN_PARTIAL: "run failed in part",
    EventKind.RUN_RECOVERED: "run is well again",
    EventKind.DEVICE_FAILING: "{} failing",
    EventKind.DEVICE_RECOVERED: "{} recovered",
    EventKind.SUSPECT: "{} suspect",
    EventKind.HOST_KEY_CHANGED: "{} with another host key",
    EventKind.FRESHNESS_MISSED: "{} overdue",
    EventKind.PUSH_FAILING: "Git push failing",
    EventKind.PUSH_RECOVERED: "Git push works again",
    EventKind.AUDIT_BROKEN: "changed past NetRaven",
}


@transaction.atomic
def notification_rule_save(
    *,
    rule: NotificationRule,
    tags: Iterable[Tag] | None = None,
    targets: Iterable[NotificationTarget] | None = None,
) -> NotificationRule:
    """Validate and save ``rule``; None leaves its tags or targets as they are.

    Raises ValidationError.
    """
    rule.full_clean()
    rule.save()
    if tags is not None:
        rule.tags.set(tags)
    if targets is not None:
        rule.targets.set(targets)
    return rule


@dataclass(frozen=True, slots=True)
class Listener:
    """An enabled rule with what decides about events, read once for all of them."""

    rule: NotificationRule
    kinds: frozenset[EventKind]
    tag_ids: frozenset[int]
    target_ids: tuple[int, ...]

    def wants(self, event: NotificationEvent, tag_ids: Iterable[int]) -> bool:
        """Whether the rule asks for ``event``, whose device or job has these tags."""
        return (
            event.kind in self.kinds
            and (event.is_change or self.rule.repeat_failures)
            and is_urgent_enough(
                Severity(event.severity), least=Severity(self.rule.minimum_severity)
            )
            and (not self.tag_ids or not self.tag_ids.isdisjoint(tag_ids))
        )


def listeners() -> list[Listener]:
    """The enabled rules that have an enabled target; three queries."""
    rules = NotificationRule.objects.filter(is_enabled=True).prefetch_related("tags", "targets")
    found = [
        Listener(
            rule=rule,
            kinds=frozenset(EventKind(kind) for kind in rule.events),
            tag_ids=frozenset(tag.pk for tag in rule.tags.all()),
            target_ids=tuple(target.pk for target in rule.targets.all() if target.is_enabled),
        )
        for rule in rules.order_by("pk")
    ]
    return [listener for listener in found if listener.target_ids]


def kinds_wanted(rules: Iterable[Listener]) -> frozenset[EventKind]:
    """What at least one of them asks for."""
    return frozenset(kind for listener in rules for kind in listener.kinds)


@transaction.atomic
def events_tell(
    *, events: Sequence[NotificationEvent], rules: Sequence[Listener], run: JobRun | None = None
) -> int:
    """Write those of ``events`` that a rule asks for, and a message to each of its targets.

    Events that were told before are left out. Gives how many messages there are to send.
    """
    tags = _tags_of(events)
    wanted = [
        event
        for event in events
        if any(listener.wants(event, tags[id(event)]) for listener in rules)
    ]
    fresh = _written(wanted)
    messages = []
    now = database_now()
    for listener in rules:
        mine = [event for event in fresh if listener.wants(event, tags[id(event)])]
        for part in _parts(listener.rule, mine):
            messages += _messages(listener, part, run, now)
    NotificationMessage.objects.bulk_create(messages, ignore_conflicts=True)
    return len(messages)


def _written(events: Sequence[NotificationEvent]) -> list[NotificationEvent]:
    """Those that were not there before, written, each with its id."""
    known = set(
        NotificationEvent.objects.filter(key__in=[event.key for event in events]).values_list(
            "key", flat=True
        )
    )
    fresh = [event for event in events if event.key not in known]
    # Somebody else may write the same at this moment: then neither these nor their messages stay,
    # and the next look finds what is left.
    return list(NotificationEvent.objects.bulk_create(fresh, batch_size=2000))


def _parts(
    rule: NotificationRule, events: list[NotificationEvent]
) -> list[list[NotificationEvent]]:
    if not events:
        return []
    return [events] if rule.is_digest else [[event] for event in events]


def _messages(
    listener: Listener, events: list[NotificationEvent], run: JobRun | None, now: datetime
) -> list[NotificationMessage]:
    rule = listener.rule
    is_digest = rule.is_digest and run is not None
    return [
        NotificationMessage(
            rule=rule,
            target_id=target_id,
            key=f"run:{run.pk}" if is_digest and run is not None else events[0].key,
            run=run,
            event_ids=[event.pk for event in events],
            with_diff=rule.attach_diff
            and any(event.kind == EventKind.CONFIG_CHANGED for event in events),
            subject=_subject(events, run),
            due_at=_due_at(rule, events, now),
        )
        for target_id in listener.target_ids
    ]


def _subject(events: Sequence[NotificationEvent], run: JobRun | None) -> str:
    counts: dict[EventKind, int] = defaultdict(int)
    for event in events:
        counts[EventKind(event.kind)] += 1
    words = ", ".join(_IN_WORDS[kind].format(count) for kind, count in counts.items())
    if len(events) == 1:
        words = f"{events[0].subject}: {_IN_WORDS[EventKind(events[0].kind)].format('').strip()}"
    where = f"{run.job_name} #{run.pk}: " if run is not None else ""
    return f"[NetRaven] {where}{words}"[:255]


def _due_at(rule: NotificationRule, events: Sequence[NotificationEvent], now: datetime) -> datetime:
    if rule.critical_breaks_quiet and any(one.severity == Severity.CRITICAL for one in events):
        return now
    return parse_blackouts(rule.quiet_hours, rule.time_zone).end_of(now) or now


def _tags_of(events: Sequence[NotificationEvent]) -> dict[int, frozenset[int]]:
    """The tags of the device of each event, or else of the job of its run; two queries."""
    of_device: dict[int, set[int]] = defaultdict(set)
    device_ids = {event.device_id for event in events if event.device_id is not None}
    through = Device.tags.through.objects.filter(device__in=device_ids)
    for device_id, tag_id in through.values_list("device_id", "tag_id"):
        of_device[device_id].add(tag_id)
    job_ids = {event.run.job_id for event in events if event.run and event.run.job_id}
    of_job: dict[int | None, set[int]] = defaultdict(set)
    for job_id, tag_id in Job.tags.through.objects.filter(job__in=job_ids).values_list(
        "job_id", "tag_id"
    ):
        of_job[job_id].add(tag_id)
    return {
        id(event): frozenset(
            of_device[event.device_id]
            if event.device_id is not None
            else of_job[event.run.job_id if event.run else None]
        )
        for event in events
    }
