"""Which messages of devices say that a configuration was changed, and by whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ahocorasick_rs import AhoCorasick, Implementation

from inventory.platforms.definition import PlatformDefinition


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a device has told of. ``user`` is empty where it does not say whose."""

    user: str


class ChangeSigns:
    """All signs of some platforms, looked for in one pass over a message."""

    def __init__(self, platforms: Iterable[PlatformDefinition]) -> None:
        signs = {message.sign for each in platforms for message in each.change_messages}
        self._words = AhoCorasick(sorted(signs), implementation=Implementation.DFA)

    def found_in(self, text: str) -> bool:
        """Whether ``text`` may be about a change, for some platform."""
        return bool(self._words.find_matches_as_indexes(text))


def change_in(platform: PlatformDefinition, text: str) -> Change | None:
    """The change that ``text``, a message of a device of ``platform``, tells of; None without one.

    The name of the user is what stands there, hostile and not redacted.
    """
    for message in platform.change_messages:
        found = message.pattern.search(text) if message.sign in text else None
        if found is not None:
            return Change(found.groupdict().get("user") or "")
    return None
