"""Ends a session from outside, from any thread: what it brings is not wanted any more."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator


class Cancellation:
    """The handle of one session.

    Shutting the socket wakes whoever is blocked on it, so a session that waits for its device ends
    at once; one that has no socket yet ends as soon as it has one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False
        self._connection: socket.socket | None = None

    @property
    def cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """End the session. Does nothing the second time, and after its end."""
        with self._lock:
            self._cancelled = True
            self._shut()

    @contextlib.contextmanager
    def over(self, connection: socket.socket) -> Iterator[None]:
        """Shut ``connection`` when the session is cancelled, until the end of the block."""
        with self._lock:
            self._connection = connection
            if self._cancelled:
                self._shut()
        try:
            yield
        finally:
            with self._lock:
                self._connection = None

    def _shut(self) -> None:
        if self._connection is None:
            return
        # The session may have closed its socket just now.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
