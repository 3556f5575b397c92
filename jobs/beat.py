"""The scheduler of ``celery beat``: django-celery-beat's, made fit for thousands of entries.

It only rings. What is due, and whether it was answered, the rows say (``jobs.schedules``): a ring
that is early, late, lost or doubled does no harm.
"""

from __future__ import annotations

import time
from typing import Any

import structlog
from django.db import DatabaseError, InterfaceError, close_old_connections
from django.db.models import Q
from django.db.models.functions import Now
from django_celery_beat.models import PeriodicTask
from django_celery_beat.schedulers import DatabaseScheduler

from jobs.models import ReconcilerTick, Tick

logger = structlog.get_logger(__name__)

#: Of entries that are due at the same time each is a tick; asking before each slows beat down.
_ASK_SECONDS = 1.0
_BATCH = 500
_SIGN_SECONDS = 10.0


class SlotScheduler(DatabaseScheduler):
    """Considers every entry at every hour, and writes what has rung in one statement."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._ask_at = 0.0
        self._sign_at = 0.0
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """Ring for what is due, and now and then leave a sign of life."""
        wait = super().tick(*args, **kwargs)
        if time.monotonic() >= self._sign_at:
            self._sign_at = time.monotonic() + _SIGN_SECONDS
            self._leave_sign()
        return wait if wait is None else min(wait, _SIGN_SECONDS)

    def _leave_sign(self) -> None:
        try:
            ReconcilerTick.objects.update_or_create(pk=Tick.BEAT, defaults={"last_at": Now()})
        except (DatabaseError, InterfaceError) as error:
            logger.warning("beat.sign_failed", error=type(error).__name__)

    def _get_crontab_exclude_query(self) -> Q:
        """No entry is left out.

        django-celery-beat 2.9 loads only those cron entries whose hour is within two hours of now;
        one that was missed during down-time then rings early, at the edge of that window, and once
        more on time (measured; celery/django-celery-beat#894, #956).
        """
        return Q(pk__in=[])

    def schedule_changed(self) -> bool:
        """Whether to load the entries again. Asks the database once a second at the most."""
        if time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + _ASK_SECONDS
        return bool(super().schedule_changed())

    def sync(self) -> None:
        """Store when the entries have rung.

        django-celery-beat saves each with about ten queries, and each save makes it load all
        entries again (celery/django-celery-beat#675).
        """
        rung = self._dirty & (self._schedule or {}).keys()
        try:
            close_old_connections()
            PeriodicTask.objects.filter(enabled=True).bulk_update(
                [self._schedule[name].model for name in rung],
                ["last_run_at", "total_run_count"],
                batch_size=_BATCH,
            )
        except (DatabaseError, InterfaceError):
            logger.exception("beat.sync_failed", entries=len(rung))
            return
        self._dirty.clear()
