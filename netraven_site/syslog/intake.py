"""From messages to notices, without the database: what a flood meets."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Iterable
from typing import Final

from inventory.platforms import change_in
from jobs.services.notices import SYSLOG, Notice
from netraven_site.syslog.directory import Directory
from netraven_site.syslog.limits import SourceLimits
from netraven_site.syslog.message import LONGEST

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
#: Devices that may wait for the database; there are hardly more.
_MOST_WAITING: Final = 100_000


class Intake:
    """Looks at messages and keeps one notice per device until somebody takes them.

    For one thread. ``counts`` says what became of the messages: ``received``, and of these
    ``limited``, ``unrelated``, ``unknown_source``, ``changes`` and ``dropped``. ``debounced`` are
    the changes of devices that waited for their backup already.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        per_second: float,
        relays: Iterable[_Network] = (),
    ) -> None:
        self.directory = directory
        self.counts: Counter[str] = Counter()
        self._limits = SourceLimits(per_second)
        self._relays = tuple(relays)
        self._waiting: dict[int, Notice] = {}

    def take(self, source: str, payload: bytes) -> None:
        """Look at one message from the address ``source``, in its one form."""
        self.counts["received"] += 1
        if not self._limits.allow(source, time.monotonic()):
            self.counts["limited"] += 1
            return
        text = payload[:LONGEST].decode("utf-8", "replace")
        if not self.directory.signs.found_in(text):
            self.counts["unrelated"] += 1
            return
        self._consider(source, text)

    def taken(self) -> list[Notice]:
        """The notices that wait, which are then the caller's."""
        notices, self._waiting = list(self._waiting.values()), {}
        return notices

    def put_back(self, notices: Iterable[Notice]) -> None:
        """Keep ``notices`` that could not be written, unless there are later ones."""
        for notice in notices:
            self._waiting.setdefault(notice.device_id, notice)

    def _consider(self, source: str, text: str) -> None:
        entry = self.directory.find(source, text, is_relay=self._is_relay(source))
        if entry is None:
            self.counts["unknown_source"] += 1
            return
        change = change_in(self.directory.platform(entry), text)
        if change is None:
            self.counts["unrelated"] += 1
        elif len(self._waiting) >= _MOST_WAITING and entry.device_id not in self._waiting:
            self.counts["dropped"] += 1
        else:
            self.counts["changes"] += 1
            self.counts["debounced"] += entry.device_id in self._waiting
            self._waiting[entry.device_id] = Notice(
                device_id=entry.device_id, changed_by=change.user, told_by=SYSLOG
            )

    def _is_relay(self, source: str) -> bool:
        if not self._relays:
            return False
        address = ipaddress.ip_address(source)
        return any(address in network for network in self._relays)
