"""The Celery application: one definition for web, workers, beat and Flower."""

from __future__ import annotations

import os

import structlog
from celery import Celery, platforms, signals

from netraven_site import broker, loading

logger = structlog.get_logger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "netraven_site.settings")
# Celery would run Django's checks in each process, which loads all pages, and drop the findings.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

loading.begin()
broker.connect()
app = Celery("netraven")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="schedules")
app.autodiscover_tasks(related_name="zone_tests")
# By name: they need what is not loaded yet.
app.steps["worker"].add("jobs.draining:DrainStep")
app.steps["consumer"].add("netraven_site.events:GatheredEvents")


@signals.worker_ready.connect
def _keep_local_variables(**_: object) -> None:
    """Take back Celery's SIGUSR1, which prints the local variables of all threads: passwords."""
    platforms.signals["SIGUSR1"] = _print_nothing


def _print_nothing(number: int, frame: object) -> None:
    logger.warning("signal.ignored", signal=number, reason="local variables may be secrets")
