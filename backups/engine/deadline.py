"""A hard end for sessions that run in threads, where time limits of the worker do nothing.

One daemon thread per process waits for the earliest deadline and shuts that session's socket, which
wakes whoever is blocked on it.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(order=True, slots=True)
class Deadline:
    """One session's end. ``expired`` turns true when it was reached."""

    when: float
    order: int
    connection: socket.socket = field(compare=False)
    expired: bool = field(default=False, compare=False)
    done: bool = field(default=False, compare=False)


class _Watch:
    def __init__(self) -> None:
        self._pending: list[Deadline] = []
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    def add(self, connection: socket.socket, seconds: float) -> Deadline:
        deadline = Deadline(time.monotonic() + seconds, next(self._order), connection)
        with self._changed:
            self._forget_done()
            heapq.heappush(self._pending, deadline)
            # A fork leaves the thread behind: the child starts its own.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="session-deadlines", daemon=True
                )
                self._thread.start()
            if self._pending[0] is deadline:
                self._changed.notify()
        return deadline

    def _forget_done(self) -> None:
        while self._pending and self._pending[0].done:
            heapq.heappop(self._pending)

    def _run(self) -> None:
        while True:
            with self._changed:
                deadline = self._next_due()
            if not deadline.done:
                deadline.expired = True
                # The session may have closed its socket just now.
                with contextlib.suppress(OSError):
                    deadline.connection.shutdown(socket.SHUT_RDWR)

    def _next_due(self) -> Deadline:
        while True:
            self._forget_done()
            wait = self._pending[0].when - time.monotonic() if self._pending else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._pending)
            self._changed.wait(wait)


_watch = _Watch()


@contextlib.contextmanager
def session_deadline(connection: socket.socket, seconds: float) -> Iterator[Deadline]:
    """Shut ``connection`` after ``seconds`` unless the block is left before."""
    deadline = _watch.add(connection, seconds)
    try:
        yield deadline
    finally:
        deadline.done = True
