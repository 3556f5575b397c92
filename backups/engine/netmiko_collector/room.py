"""Memory for long answers, which all sessions of a process share.

Each session has some of its own, far more than a usual configuration takes. What goes beyond it
comes out of one room; where that is full, a session reads on when another one has left, and the
device waits meanwhile. The session that came first never waits, so one always goes on.
"""

from __future__ import annotations

import threading

#: What each session may keep without asking.
OWN_BYTES = 4 * 1024 * 1024
#: What all that ask may keep together; the first of them is not bound by it.
SHARED_BYTES = 12 * 1024 * 1024


class Room:
    """Memory of ``size`` bytes beyond the own ones of each session. Thread-safe."""

    def __init__(self, size: int = SHARED_BYTES, *, own: int = OWN_BYTES) -> None:
        self.own = own
        self._size = size
        #: Bytes by session, in the order in which the sessions came.
        self._taken: dict[Place, int] = {}
        self._changed = threading.Condition()

    def grow(self, place: Place, more: int, timeout: float) -> bool:
        """Let ``place`` have ``more`` shared bytes in all; False if that was not possible in time.

        ``timeout`` in seconds.
        """
        with self._changed:
            self._taken.setdefault(place, 0)
            if not self._changed.wait_for(lambda: self._fits(place, more), timeout):
                return False
            self._taken[place] = more
            return True

    def leave(self, place: Place) -> None:
        """Give back what ``place`` has."""
        with self._changed:
            if self._taken.pop(place, None) is not None:
                self._changed.notify_all()

    def _fits(self, place: Place, more: int) -> bool:
        others = sum(self._taken.values()) - self._taken[place]
        return place is next(iter(self._taken)) or others + more <= self._size


class Place:
    """What one session keeps."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held = 0

    def hold(self, size: int, timeout: float) -> bool:
        """Have room for ``size`` bytes in all; False if there was none within ``timeout`` s."""
        shared = size - self._room.own
        if shared <= 0 or size <= self._held:
            return True
        if not self._room.grow(self, shared, timeout):
            return False
        self._held = size
        return True

    def leave(self) -> None:
        """Give everything back."""
        self._room.leave(self)
        self._held = 0


#: The one of this process.
ROOM = Room()
