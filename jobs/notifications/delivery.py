"""Sending messages, one target at a time, and writing down how it went.

A message is sent at least once: whoever dies between sending and writing has it sent again, with
the same ``delivery_id``.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobs.choices import MessageState, TargetKind
from jobs.models import NotificationAttempt, NotificationMessage, NotificationTarget
from jobs.notifications.apprise_channel import apprise_send
from jobs.notifications.channel import Content, Outcome
from jobs.notifications.content import message_content
from jobs.notifications.targets import OpenTarget, TargetError, target_open
from jobs.notifications.webhook_channel import webhook_send
from jobs.policy.notifications import MAX_ATTEMPTS, pause_seconds

logger = structlog.get_logger(__name__)

#: Longer than any one message takes.
_LEASE = timedelta(seconds=120)
#: After so many messages a task makes room for others.
_AT_ONCE = 50
_TEST_SUBJECT = "[NetRaven] Test message"


def targets_due() -> list[int]:
    """Ids of enabled targets with a message to send, that nobody is at."""
    rows = _free().filter(Exists(_due_messages(target=OuterRef("pk"))))
    return list(rows.order_by("pk").values_list("pk", flat=True))


def messages_deliver(*, target_id: int) -> int:
    """Send what is due to the target, until one message fails; how many were taken.

    Nothing when somebody else is at it.
    """
    held_until = _hold(_free().filter(pk=target_id))
    if held_until is None:
        return 0
    target = NotificationTarget.objects.get(pk=target_id)
    sent = 0
    for _ in range(_AT_ONCE):
        message = _next(target)
        if message is None or _deliver(target, message).error:
            break
        sent += 1
        held_until = _hold(_held(target_id, held_until))
        if held_until is None:
            return sent  # it took so long that somebody else is at it
    _held(target_id, held_until).update(busy_until=None)
    return sent


def _held(target_id: int, until: datetime) -> QuerySet[NotificationTarget]:
    """The target as long as the one who holds it until then is the caller."""
    return NotificationTarget.objects.filter(pk=target_id, busy_until=until)


def _hold(target: QuerySet[NotificationTarget]) -> datetime | None:
    """Hold a target for a while; until when, or None when it is not to be had."""
    with transaction.atomic():
        row = target.select_for_update().annotate(until=Now() + _LEASE).first()
        if row is None:
            return None
        until: datetime = row.until
        NotificationTarget.objects.filter(pk=row.pk).update(busy_until=until)
    return until


def send_test_message(*, target: NotificationTarget) -> Outcome:
    """Send a test message at once, also to a disabled target, and write it down like others."""
    message = NotificationMessage.objects.create(
        target=target,
        key=f"test:{timezone.now().isoformat()}",
        subject=_TEST_SUBJECT,
        # Whoever asked waits for it; no task is to send it as well.
        state=MessageState.FAILED.value,
        due_at=timezone.now(),
    )
    return _deliver(target, message, is_last=True)


def message_replay(*, message: NotificationMessage) -> bool:
    """Have ``message`` sent again, with the same id; False while it still waits to be sent."""
    ended = NotificationMessage.objects.filter(pk=message.pk).exclude(state=MessageState.PENDING)
    done = ended.update(state=MessageState.PENDING, attempts=0, due_at=Now(), error="")
    NotificationTarget.objects.filter(pk=message.target_id).update(retry_at=None)
    return bool(done)


def _free() -> QuerySet[NotificationTarget]:
    return NotificationTarget.objects.filter(
        Q(busy_until=None) | Q(busy_until__lt=Now()),
        Q(retry_at=None) | Q(retry_at__lt=Now()),
        is_enabled=True,
    )


def _due_messages(**which: object) -> QuerySet[NotificationMessage]:
    return NotificationMessage.objects.filter(
        state=MessageState.PENDING, due_at__lte=Now(), **which
    )


def _next(target: NotificationTarget) -> NotificationMessage | None:
    """The due message that was tried least, of these the oldest; counted as tried."""
    message = (
        _due_messages(target=target)
        .select_related("rule", "run")
        .order_by("attempts", "pk")
        .first()
    )
    if message is not None:
        NotificationMessage.objects.filter(pk=message.pk).update(attempts=F("attempts") + 1)
        message.attempts += 1
    return message


def _deliver(
    target: NotificationTarget, message: NotificationMessage, *, is_last: bool = False
) -> Outcome:
    begin = time.monotonic()
    try:
        outcome = _send(target_open(target=target), message_content(message=message))
    except TargetError as error:
        outcome = Outcome(error=str(error))
    except Exception as error:  # noqa: BLE001 - recorded with the message
        # What a library quotes in its message may be a part of the address.
        logger.warning("message.failed", target=target.pk, error=type(error).__name__)
        outcome = Outcome(error=f"an unexpected {type(error).__name__} happened")
    _record(target, message, outcome, time.monotonic() - begin, is_last=is_last)
    return outcome


def _send(target: OpenTarget, content: Content) -> Outcome:
    if target.kind is TargetKind.WEBHOOK:
        return webhook_send(url=target.url, secret=target.signing_secret, content=content)
    return apprise_send(url=target.url, content=content)


def _record(
    target: NotificationTarget,
    message: NotificationMessage,
    outcome: Outcome,
    seconds: float,
    *,
    is_last: bool,
) -> None:
    error = outcome.error[:500]
    NotificationAttempt.objects.create(
        message=message,
        is_delivered=not error,
        status_code=outcome.status_code,
        seconds=round(seconds, 3),
        error=error,
    )
    rows = NotificationMessage.objects.filter(pk=message.pk)
    targets = NotificationTarget.objects.filter(pk=target.pk)
    if not error:
        rows.update(state=MessageState.SENT, sent_at=Now(), error="")
        targets.update(failures=0, retry_at=None, error="", sent_at=Now())
        return
    if is_last or message.attempts >= MAX_ATTEMPTS:
        rows.update(state=MessageState.FAILED, error=error)
    else:
        rows.update(error=error)
    pause = timedelta(seconds=pause_seconds(failures=target.failures + 1))
    targets.update(failures=F("failures") + 1, retry_at=Now() + pause, error=error)
    target.failures += 1
