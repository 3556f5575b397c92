"""Deleting messages and events that are no longer to be kept."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from backups.selectors.retention import retention_default
from jobs.choices import MessageState
from jobs.models import NotificationEvent, NotificationMessage

#: What nobody took for so long is given up: it would hold up what is of today.
_PENDING_DAYS = 7


def notifications_prune(*, dry_run: bool = False) -> int:
    """Delete what is older than the logs are kept; how many messages that are.

    Messages that wait are kept, and events for as long as a message that has them. One that has
    waited for its target for a week is given up.
    """
    if not dry_run:
        _give_up()
    days = retention_default().log_days
    if days is None:
        return 0
    before = Now() - timedelta(days=days)
    messages = NotificationMessage.objects.filter(created_at__lt=before).exclude(
        state=MessageState.PENDING
    )
    if dry_run:
        return messages.count()
    count = messages.count()
    messages.delete()
    # Until then: a message that waited for its target as long as it may has them still.
    old = before - timedelta(days=_PENDING_DAYS)
    NotificationEvent.objects.filter(happened_at__lt=old).delete()
    return count


def _give_up() -> None:
    old = NotificationMessage.objects.filter(
        state=MessageState.PENDING, due_at__lt=Now() - timedelta(days=_PENDING_DAYS)
    )
    old.update(
        state=MessageState.FAILED,
        error=f"the target took nothing for {_PENDING_DAYS} days; mend it and replay the message",
    )
