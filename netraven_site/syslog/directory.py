"""Which device a message is about. Held in memory: messages are many, devices change seldom."""

from __future__ import annotations

import functools
import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from inventory.models import Device
from inventory.platforms import (
    ChangeSigns,
    PlatformDefinition,
    UnknownPlatform,
    get_platform,
)
from netraven_site.syslog.message import hostname_in


class Entry(NamedTuple):
    """A device that may tell of changes."""

    device_id: int
    hostname: str
    ip_address: str
    platform: str


class Directory:
    """The active devices of the inventory as they were when it was loaded."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_address: dict[str, list[Entry]] = defaultdict(list)
        self._by_name: dict[str, list[Entry]] = defaultdict(list)
        self._platforms: dict[str, PlatformDefinition] = {}
        for entry in entries:
            if self._knows_platform(entry.platform):
                self._add(entry)
        self.signs = ChangeSigns(self._platforms.values())

    @classmethod
    def load(cls) -> Directory:
        """What the database has at this moment."""
        rows = Device.objects.filter(is_active=True).values_list(
            "pk", "hostname", "ip_address", "platform"
        )
        return cls(Entry(*row) for row in rows.iterator())

    def find(self, source: str, text: str, *, is_relay: bool) -> Entry | None:
        """The device that sent ``text`` from the address ``source``; None where that is not clear.

        The name in the message decides only between devices with one address, and for messages
        that a relay passes on: anybody can write any name.
        """
        hostname, found = hostname_in(text), []
        if is_relay:
            found = self._by_name.get(hostname) or self._by_address.get(plain_address(hostname), [])
        found = found or self._by_address.get(source, [])
        if len(found) > 1:
            found = [entry for entry in found if _is_called(entry, hostname)]
        return found[0] if len(found) == 1 else None

    def platform(self, entry: Entry) -> PlatformDefinition:
        """What the device of ``entry`` runs."""
        return self._platforms[entry.platform]

    def _knows_platform(self, name: str) -> bool:
        """Whether devices of a platform tell of changes at all."""
        if name not in self._platforms:
            try:
                platform = get_platform(name)
            except UnknownPlatform:
                return False
            if not platform.change_messages:
                return False
            self._platforms[name] = platform
        return True

    def _add(self, entry: Entry) -> None:
        self._by_address[plain_address(entry.ip_address)].append(entry)
        name = entry.hostname.lower()
        for each in {name, name.partition(".")[0]}:
            self._by_name[each].append(entry)


@functools.lru_cache(maxsize=16_384)
def plain_address(address: str) -> str:
    """An IP address in its one form, IPv4 also where it comes in IPv6; other texts unchanged."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def _is_called(entry: Entry, hostname: str) -> bool:
    name = entry.hostname.lower()
    return hostname != "" and hostname in {name, name.partition(".")[0]}
