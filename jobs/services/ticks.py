"""Who of many processes does what one of them does for all."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from jobs.models import ReconcilerTick, Tick


def tick_take(*, tick: Tick, every: timedelta) -> bool:
    """Whether the duty is due, and the caller's alone: nobody has taken it for ``every``.

    All by the database's clock. The first one to ask ever gets it.
    """
    ReconcilerTick.objects.get_or_create(pk=tick, defaults={"last_at": Now() - every})
    due = ReconcilerTick.objects.filter(pk=tick, last_at__lte=Now() - every)
    return bool(due.update(last_at=Now()))
