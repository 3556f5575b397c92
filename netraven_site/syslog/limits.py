"""How many messages of one source are looked at."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

#: So many sources are remembered; whoever was silent longest is forgotten first.
_MOST_SOURCES: Final = 10_000


class SourceLimits:
    """A bucket of tokens per source: a second's worth of messages at once, and so many a second."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        #: What is left, and when that was counted.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, source: str, now: float) -> bool:
        """Whether a message that came at ``now``, seconds of a steady clock, may be looked at."""
        left, counted = self._buckets.get(source, (self._per_second, now))
        left = min(left + (now - counted) * self._per_second, self._per_second)
        is_allowed = left >= 1
        self._buckets[source] = (left - is_allowed, now)
        self._buckets.move_to_end(source)
        if len(self._buckets) > _MOST_SOURCES:
            self._buckets.popitem(last=False)
        return is_allowed
