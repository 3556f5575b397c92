"""How many sessions simulated devices of this process had open at once, all of them together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from netraven_site.demo.simulator.device import DeviceLog


@dataclass
class SessionsSeen:
    """Counted by the devices themselves, connection by connection."""

    #: Open at this moment, and the most that were.
    open: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, number: int) -> None:
        with self.lock:
            self.open += number
            self.most = max(self.most, self.open)


@contextmanager
def sessions_seen() -> Iterator[SessionsSeen]:
    """Count while the block runs."""
    seen = SessionsSeen()
    connected, disconnected = DeviceLog.connected, DeviceLog.disconnected

    def came(log: DeviceLog) -> None:
        seen.add(1)
        connected(log)

    def went(log: DeviceLog) -> None:
        seen.add(-1)
        disconnected(log)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeviceLog, "connected", came)
        patch.setattr(DeviceLog, "disconnected", went)
        yield seen
