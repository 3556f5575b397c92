"""The system on one page: versions, sizes, the work under way, and what needs a hand."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q

from backups.models import Snapshot
from backups.services.store_checks import store_check_last
from inventory.models import Device
from jobs.choices import FINAL_RUN_STATUSES
from jobs.models import Job, JobRun
from jobs.monitoring.attention import git_store_problem, needs_a_hand
from jobs.monitoring.facts import system_facts

_LAST_RUNS = 5


def system_overview() -> dict[str, Any]:
    """What ``/api/v1/system/`` and ``status --json`` answer, as plain values and times."""
    facts = system_facts()
    installation = installation_facts()
    return {
        "versions": installation["versions"],
        "counts": {
            **installation["counts"],
            "open_runs": len(facts.open_runs),
            "pending_snapshots": facts.pending_snapshots,
        },
        "broker": {
            "is_up": facts.broker.is_up,
            "problem": facts.broker.problem,
            "unacked": facts.broker.unacked,
        },
        "git_store": installation["git_store"],
        "reconciler_seconds": facts.reconciler_seconds,
        "workers": [asdict(worker) for worker in facts.workers],
        "queues": [asdict(queue) for queue in facts.queues],
        "open_runs": [asdict(run) for run in facts.open_runs],
        "last_runs": [_last(run) for run in _last_runs()],
        "needs_a_hand": needs_a_hand(facts=facts),
    }


def installation_facts() -> dict[str, Any]:
    """``versions``, ``counts`` of what is stored, and ``git_store``; at most 7 queries."""
    problem = git_store_problem()
    check = store_check_last()
    return {
        "versions": _versions(),
        "counts": {
            **Device.objects.aggregate(
                devices=Count("pk"), active_devices=Count("pk", filter=Q(is_active=True))
            ),
            "jobs": Job.objects.count(),
            "runs": JobRun.objects.count(),
            "snapshots": Snapshot.objects.count(),
        },
        "git_store": {
            "path": str(settings.NETRAVEN.git_directory),
            "is_reachable": not problem,
            "problem": problem,
            "last_check": None if check is None else asdict(check),
        },
    }


def _last_runs() -> list[JobRun]:
    return list(JobRun.objects.filter(status__in=FINAL_RUN_STATUSES).order_by("-pk")[:_LAST_RUNS])


def _last(run: JobRun) -> dict[str, Any]:
    return {
        "id": run.pk,
        "job_name": run.job_name,
        "status": run.status,
        "finished_at": run.finished_at,
        "duration_seconds": run.duration_seconds,
        "total": run.total_count,
        "succeeded": run.succeeded_count,
    }


def _versions() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (database,) = cursor.fetchone()
    return {
        "netraven": settings.NETRAVEN_VERSION,
        "python": platform.python_version(),
        "django": metadata.version("django"),
        "celery": metadata.version("celery"),
        "netmiko": metadata.version("netmiko"),
        "postgresql": database.split()[0],
    }
