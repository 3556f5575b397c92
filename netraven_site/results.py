"""The Redis result backend for senders that never wait for a result."""

from __future__ import annotations

from typing import Any

from celery.backends.redis import (  # type: ignore[attr-defined]  # not in the stubs
    RedisBackend,
    ResultConsumer,
)


def backend_url(redis_url: str) -> str:
    """``redis_url`` as Celery's ``result_backend`` for the class below."""
    return f"{UnwatchedRedisBackend.__module__}:{UnwatchedRedisBackend.__name__}+{redis_url}"


class _NoSubscriptions(ResultConsumer):
    """Subscribes to no result."""

    def consume_from(self, task_id: str) -> None:
        """Nobody waits for this task."""

    def cancel_for(self, task_id: str) -> None:
        """There is nothing to cancel."""


class UnwatchedRedisBackend(RedisBackend):
    """Stores results and completes chords, but subscribes to nothing.

    Celery subscribes the sender to the result of every task it sends. The rows tell us how a device
    ended, so a run over thousands of devices would fill a buffer that nobody reads; Redis closes
    such connections (nautobot/nautobot#2351).
    """

    ResultConsumer = _NoSubscriptions

    def on_task_call(self, producer: Any, task_id: str) -> None:
        """Nobody waits for this task."""
