"""Tells the database which worker this process is, as long as it lives."""

from __future__ import annotations

import os
import threading
from typing import Any

import structlog
from celery.utils.nodenames import nodesplit
from celery.worker import state
from django.db import DatabaseError, connection

from jobs.services.workers import WorkerIdentity, worker_gone, worker_seen

logger = structlog.get_logger(__name__)


class Presence:
    """Reports one worker until it leaves; after that nothing brings its row back."""

    def __init__(self, worker: WorkerIdentity) -> None:
        self._worker = worker
        self._lock = threading.Lock()
        self._left = False

    def report(self) -> None:
        """Say that the worker lives, and how many tasks it works on."""
        with self._lock:
            if not self._left:
                worker_seen(worker=self._worker, busy=len(state.active_requests))

    def leave(self) -> None:
        """Take the row away. Without a database it stays, and is shown as dead after a lease."""
        with self._lock:
            self._left = True
            try:
                worker_gone(worker=self._worker)
            except DatabaseError:
                logger.warning("worker.sign_off_failed", worker=self._worker.node)
            finally:
                # Not one of Celery's tasks, which would close it.
                connection.close()


def identity_of(consumer: Any) -> WorkerIdentity:
    """The worker behind ``consumer``, the sender of Celery's ``worker_ready``."""
    _, host = nodesplit(consumer.hostname)
    return WorkerIdentity(
        node=consumer.hostname,
        host=host or consumer.hostname,
        pid=os.getpid(),
        queues=tuple(sorted(consumer.app.amqp.queues.consume_from)),
        concurrency=consumer.pool.num_processes,
    )
