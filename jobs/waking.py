"""Lets parked devices go on that nobody else has told to: the safety net, and the start ramp.

Runs in the maintenance thread of every worker, elected by one row.
"""

from __future__ import annotations

from datetime import timedelta

from jobs.models import DeviceResult, Tick
from jobs.models.results import PARKED
from jobs.sending import send_released
from jobs.services.parking import parked_release_all
from jobs.services.ticks import tick_take

#: From one pass to the next.
WAKE_SECONDS = 1.0


def wake_if_elected() -> int:
    """One pass, unless another process did one a moment ago; how many devices got room.

    One query while nobody is parked.
    """
    if not DeviceResult.objects.filter(PARKED).exists():
        return 0
    # A little less than the pace of the passes: it must not miss every other one.
    every = timedelta(seconds=0.8 * WAKE_SECONDS)
    if not tick_take(tick=Tick.RELEASE_PARKED, every=every):
        return 0
    released = parked_release_all()
    send_released(released)
    return len(released.results)
