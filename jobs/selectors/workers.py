"""Which worker processes live, and what they serve."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.db.models.functions import Now
from django_stubs_ext import WithAnnotations

from jobs.models import WorkerProcess


class Life(TypedDict):
    """What the query adds to a worker process."""

    is_alive: bool


def workers_known() -> QuerySet[WithAnnotations[WorkerProcess, Life]]:
    """All of them by name, each with ``is_alive``: seen within a lease, by the database's clock."""
    alive = ExpressionWrapper(_seen_within_a_lease(), output_field=BooleanField())
    return WorkerProcess.objects.annotate(is_alive=alive)


def workers_alive() -> QuerySet[WorkerProcess]:
    """Those that gave a sign of life within a lease."""
    return WorkerProcess.objects.filter(_seen_within_a_lease())


def _seen_within_a_lease() -> Q:
    return Q(seen_at__gt=Now() - timedelta(seconds=settings.NETRAVEN.lease_seconds))
