"""The report of a run as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from inventory.models import Device
from jobs.models import JobRun
from jobs.selectors.failures import FailureGroup
from jobs.selectors.reports import RunFacts, run_device_rows, run_facts


def json_report(run: JobRun, scope: QuerySet[Device] | None = None) -> Iterator[str]:
    """The object in pieces; ``results``, its last member, holds every device of the run."""
    head = _dumps(_head(run_facts(run=run, scope=scope)))
    yield head.removesuffix("}") + ', "results": ['
    separator = "\n"
    for row in run_device_rows(run=run, scope=scope):
        yield separator + _dumps(asdict(row))
        separator = ",\n"
    yield "\n]}\n"


def failure_as_dict(group: FailureGroup) -> dict[str, Any]:
    """A group of failures without the ids that a retry takes."""
    return {name: value for name, value in asdict(group).items() if name != "retry_ids"} | {
        "retryable": len(group.retry_ids)
    }


def _head(facts: RunFacts) -> dict[str, Any]:
    run = facts.run
    total = sum(facts.devices.values())
    return {
        "run": {
            "id": run.pk,
            "job_name": run.job_name,
            "status": run.status,
            "status_reason": run.status_reason,
            "trigger": run.trigger,
            "requested_by": run.requested_by.username if run.requested_by else None,
            "retry_of": run.retry_of_id,
            "created_at": run.created_at,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "deadline_at": run.deadline_at,
            "duration_seconds": run.duration_seconds,
        },
        "devices": {"total": total, **facts.devices},
        "credentials": {
            "devices_with_one": facts.with_credential,
            "used": [asdict(figures) for figures in facts.credentials],
        },
        "durations": asdict(facts.durations),
        "failures": [failure_as_dict(group) for group in facts.failures],
    }


def _dumps(value: Any) -> str:
    return json.dumps(value, default=_plain)


def _plain(value: object) -> str:
    assert isinstance(value, datetime)  # nothing else is in a report that JSON does not know
    return value.isoformat()
