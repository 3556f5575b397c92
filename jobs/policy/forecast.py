"""How long a run will take yet, from how long its devices took before; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """A limit on sessions, and what is still to be done under it."""

    #: Expected seconds of all its open devices together.
    seconds: float
    sessions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWork:
    """What a run has yet to do. Times in seconds."""

    #: What is left of each session that is open.
    running: Sequence[float] = ()
    #: What each device will take that waits.
    waiting: Sequence[float] = ()
    #: Sessions that go on at once; any number above 0.
    at_once: float = 1
    caps: Sequence[Cap] = field(default=())
    #: Sessions that begin per second at the most; None for no limit.
    starts_per_second: float | None = None


def seconds_left(work: OpenWork) -> float:
    """When the last device will be done, at the earliest, in seconds from now.

    The slowest of: the work shared by as many as go on at once, the work under each cap shared by
    as many as it allows, the ramp, and the longest single device. Waits between attempts of devices
    that fail are part of their durations; that more of them fail than before is not foreseen.
    """
    shared = (sum(work.running) + sum(work.waiting)) / work.at_once
    longest = max([*work.running, *work.waiting], default=0.0)
    capped = (cap.seconds / cap.sessions for cap in work.caps)
    ramp = 0.0
    if work.starts_per_second and work.waiting:
        last = sorted(work.waiting)[len(work.waiting) // 2]
        ramp = len(work.waiting) / work.starts_per_second + last
    return max(shared, longest, ramp, *capped)


def remaining(*, expected: float, elapsed: float) -> float:
    """What is left of a session that has lasted ``elapsed`` of ``expected`` seconds.

    One that takes longer than it should is expected to take a tenth of that longer yet.
    """
    return max(expected - elapsed, expected / 10)
