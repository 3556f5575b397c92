"""A Celery worker as a thread of the tests' own process, on the real broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from celery.contrib.testing.worker import start_worker
from kombu.transport.redis import Transport

from netraven_site.celery import app

#: How long a worker asks Redis to wait for a message. It ends when the answer has come: with the
#: whole second of Kombu, half a second after each test on average.
_BRPOP_SECONDS = 0.1


@contextmanager
def worker_in_process(*queues: str, concurrency: int) -> Iterator[None]:
    """A worker for ``queues``, which finds no message from before; it has ended afterwards."""
    app.control.purge()
    with (
        patch.object(Transport, "brpop_timeout", _BRPOP_SECONDS),
        start_worker(
            app,
            pool="threads",
            concurrency=concurrency,
            queues=list(queues),
            perform_ping_check=False,
            shutdown_timeout=30,
            # It sets the level of the root logger, for all tests that follow.
            loglevel="WARNING",
        ),
    ):
        yield
