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
#: Users of one device that are kept apart until then: whoever is named last may be nobody, or
#: NetRaven itself, which only the database tells.
_MOST_USERS: Final = 4


class Intake:
    """Looks at messages and keeps a notice per device and user until somebody takes them.

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
        self._waiting: dict[int, dict[str, Notice]] = {}

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
        """The notices that wait, the latest of a device last; they are then the caller's."""
        waiting, self._waiting = self._waiting, {}
        return [notice for of_device in waiting.values() for notice in of_device.values()]

    def put_back(self, notices: Iterable[Notice]) -> None:
        """Keep ``notices`` that could not be written, in front of those that came since."""
        since = self.taken()
        for notice in (*notices, *since):
            self._keep(notice)

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
            self._keep(Notice(device_id=entry.device_id, changed_by=change.user, told_by=SYSLOG))

    def _keep(self, notice: Notice) -> None:
        of_device = self._waiting.setdefault(notice.device_id, {})
        of_device.pop(notice.changed_by, None)
        of_device[notice.changed_by] = notice
        if len(of_device) > _MOST_USERS:
            del of_device[next(iter(of_device))]

    def _is_relay(self, source: str) -> bool:
        if not self._relays:
            return False
        address = ipaddress.ip_address(source)
        return any(address in network for network in self._relays)
