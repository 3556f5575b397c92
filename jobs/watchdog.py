"""Notices that this worker process lives but is of no use, and has a fresh one take its place."""

from __future__ import annotations

from typing import Any

import structlog
from celery.worker import state

from jobs.draining import recycle
from jobs.services.session_watch import session_abandon, sessions_overdue

logger = structlog.get_logger(__name__)

#: Threads that hang, of all of the pool, with which a process is not worth keeping.
_HUNG_SHARE = 0.25
#: Looks in a row that find messages waiting, room for them, and none taken.
_STALLED_LOOKS = 3


class HungThreads:
    """Gives up devices whose thread does not come back, and the process when there are many."""

    def __init__(self, *, pool_size: int) -> None:
        self._pool_size = pool_size

    def look(self) -> None:
        """Record what is overdue, and count it."""
        overdue = sessions_overdue()
        for session in overdue:
            if session_abandon(session=session):
                logger.error("session.hangs", result=session.claim.result_id)
        if overdue and len(overdue) >= _HUNG_SHARE * self._pool_size:
            recycle(f"{len(overdue)} of {self._pool_size} threads hang")


class StalledConsumer:
    """Finds out whether messages wait that this worker has room for and does not take.

    A broker's answer to a ping says nothing of that: workers were seen that answered and consumed
    nothing after a reconnection (celery/celery#8030, #8091, #10205). A queue that is empty needs no
    worker, so no message of our own has to be sent to find out.
    """

    def __init__(self, consumer: Any, *, pool_size: int) -> None:
        self._consumer = consumer
        self._pool_size = pool_size
        self._taken = 0
        self._looks = 0

    def look(self) -> None:
        """To be called at a steady pace. Raises what the broker raises while it is down."""
        taken, self._taken = self._taken, state.all_total_count[0]
        idle = taken == self._taken and len(state.reserved_requests) < self._pool_size
        looks, self._looks = self._looks, 0
        if not idle or not self._messages_wait():
            return
        self._looks = looks + 1
        if self._looks >= _STALLED_LOOKS:
            recycle("messages wait in the queues of this worker and it takes none")

    def _messages_wait(self) -> bool:
        consumer = self._consumer.task_consumer
        names = [queue.name for queue in consumer.queues] if consumer is not None else []
        with self._consumer.app.pool.acquire(block=True, timeout=5) as connection:
            return any(connection.default_channel.client.llen(name) for name in names)
