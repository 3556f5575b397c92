"""Worker processes that tests believe to live."""

from __future__ import annotations

from jobs.services.workers import WorkerIdentity, worker_seen


def alive(*queues: str, node: str = "devices1@here") -> None:
    """A worker that serves ``queues`` and has just given a sign of life; 3 of 50 tasks busy."""
    identity = WorkerIdentity(node=node, host="here", pid=7, queues=queues, concurrency=50)
    worker_seen(worker=identity, busy=3)
