"""The one thread beside the work in each worker process: renews leases and reconciles."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from celery.signals import worker_process_init, worker_ready
from django.conf import settings
from django.db import connection

from jobs import leases
from jobs.reconcile import reconcile_if_elected
from jobs.services.results import leases_renew

logger = logging.getLogger(__name__)


class Heartbeat:
    """Beats as long as the process lives, also while it finishes its work after TERM."""

    def __init__(self, *, reconciles: bool) -> None:
        self._reconciles = reconciles

    def start(self) -> None:
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def _run(self) -> None:
        config = settings.NETRAVEN
        pause = min(config.heartbeat_seconds, config.reconcile_seconds)
        while True:
            time.sleep(pause)
            self._beat()

    def _beat(self) -> None:
        """One beat. A database that is down is reported and asked again at the next beat."""
        try:
            claims = leases.held_now()
            if claims:
                leases_renew(claims=claims)
            if self._reconciles:
                reconcile_if_elected()
        except Exception:
            logger.exception("heartbeat of process %s failed; the next one follows", os.getpid())
        finally:
            # This connection is not Celery's to close.
            connection.close()


def _on_ready(**_: Any) -> None:
    Heartbeat(reconciles=True).start()


def _on_child(**_: Any) -> None:
    # A prefork child renews its own claims; its parent reconciles.
    Heartbeat(reconciles=False).start()


def connect() -> None:
    """Beat in every Celery worker process from its start to its end."""
    worker_ready.connect(_on_ready, weak=False, dispatch_uid="netraven-heartbeat")
    worker_process_init.connect(_on_child, weak=False, dispatch_uid="netraven-heartbeat-child")
