"""Lets parked devices go on that nobody else has told to: the safety net, and the start ramp.

Runs in the maintenance thread of every worker, elected by one row.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from jobs.models import DeviceResult, ReconcilerTick
from jobs.models.results import PARKED
from jobs.services.parking import parked_release_all
from jobs.tasks import send_released

#: From one pass to the next.
WAKE_SECONDS = 1.0
#: The row of this duty among those that elect.
_TICK = 2


def wake_if_elected() -> int:
    """One pass, unless another process did one a moment ago; how many devices got room.

    One query while nobody is parked.
    """
    if not DeviceResult.objects.filter(PARKED).exists():
        return 0
    tick, _ = ReconcilerTick.objects.get_or_create(
        pk=_TICK, defaults={"last_at": timezone.now() - timedelta(seconds=WAKE_SECONDS)}
    )
    # A little less than the pace of the passes: it must not miss every other one.
    before = Now() - timedelta(seconds=0.8 * WAKE_SECONDS)
    if not ReconcilerTick.objects.filter(pk=tick.pk, last_at__lt=before).update(last_at=Now()):
        return 0
    released = parked_release_all()
    send_released(released)
    return len(released.results)
