"""The Celery task that sends messages to people."""

from __future__ import annotations

import structlog
from celery import shared_task

from jobs.broker import BROKER_DOWN
from jobs.notifications.collect import notifications_collect
from jobs.notifications.delivery import messages_deliver, targets_due
from jobs.notifications.heartbeat_url import is_time_to_ping, ping
from jobs.queues import CONTROL_QUEUE
from jobs.services.sessions import database_use

logger = structlog.get_logger(__name__)

#: One that waited so long would say of another minute that all was well.
_PING_EXPIRES_SECONDS = 50
#: What is due is asked for again and again; messages that nobody has taken must not pile up.
_DELIVER_EXPIRES_SECONDS = 60


def notifications_send() -> int:
    """Make messages of what has happened, and ask workers to send what is due; how many targets.

    A broker that is down is no loss: the rows are due again later.
    """
    notifications_collect()
    target_ids = targets_due()
    try:
        for target_id in target_ids:
            deliver_messages.apply_async(
                (target_id,), queue=CONTROL_QUEUE, expires=_DELIVER_EXPIRES_SECONDS
            )
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="messages", count=len(target_ids))
    return len(target_ids)


def heartbeat_send() -> None:
    """Have a worker tell the watch that all is well: that it can says as much as that it asks."""
    if not is_time_to_ping():
        return
    try:
        ping_heartbeat.apply_async(queue=CONTROL_QUEUE, expires=_PING_EXPIRES_SECONDS)
    except BROKER_DOWN:
        logger.warning("broker.down", postponed="heartbeat")


@shared_task(name="jobs.ping_heartbeat", ignore_result=True)
def ping_heartbeat() -> None:
    """Ask for ``heartbeat_url`` once."""
    error = ping().error
    if error:
        logger.warning("heartbeat.unheard", error=error)


@shared_task(name="jobs.deliver_messages", ignore_result=True)
def deliver_messages(target_id: int) -> None:
    """Send what is due to one target; nothing when somebody else is at it."""
    with database_use():
        messages_deliver(target_id=target_id)
