"""Deleting messages and events that are no longer to be kept."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from backups.selectors.retention import retention_default
from jobs.choices import MessageState
from jobs.models import NotificationEvent, NotificationMessage


def notifications_prune(*, dry_run: bool = False) -> int:
    """Delete what is older than the logs are kept; how many messages that are.

    Messages that wait are kept, and events for as long as a message that has them.
    """
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
    # Until a week later: one that waited for its target as long as that has them still.
    old = before - timedelta(days=7)
    NotificationEvent.objects.filter(happened_at__lt=old).delete()
    return count
