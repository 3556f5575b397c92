"""What creating and dispatching a run asks of the database, as the run grows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.choices import RunStatus, Trigger
from jobs.models import Job, JobRun
from jobs.services import runs
from jobs.services.run_creation import run_create
from jobs.tasks import advance, dispatch_run
from tests.factories import CredentialFactory, DeviceFactory, JobFactory
from tests.support.queues import messages_taken

_WAVE = 20


def job_over(count: int) -> Job:
    tag = f"all-{count}"
    DeviceFactory.create_batch(count, tags=[tag])
    CredentialFactory.create(name=tag, tags=[tag])
    return JobFactory.create(name=tag, tags=[tag])


def queries_of_creation(job: Job) -> tuple[JobRun, int]:
    with CaptureQueriesContext(connection) as queries:
        run = run_create(job=job, trigger=Trigger.MANUAL)
    return run, len(queries)


def queries_of_dispatch(run: JobRun) -> int:
    """Queries until the last message has left; workers are replaced by one update per wave."""
    count, step = 0, dispatch_run
    while run.status in (RunStatus.PENDING, RunStatus.RUNNING):
        with CaptureQueriesContext(connection) as queries:
            step(run.pk)
        count += len(queries)
        run.results.filter(status="PENDING", queued_at__isnull=False).update(
            status="SUCCEEDED", finished_at=timezone.now()
        )
        run.refresh_from_db()
        step = advance
    return count


@pytest.mark.django_db
def test_queries_grow_with_waves_and_not_with_devices(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the guard, which would hold back all but a few until one has logged in.
    configure(wave_size=_WAVE, lockout_devices=0)
    monkeypatch.setattr(runs, "_BATCH", _WAVE)
    messages_taken("devices", "control")
    creation, dispatch = {}, {}
    for size in (2 * _WAVE, 6 * _WAVE):
        run, creation[size] = queries_of_creation(job_over(size))
        dispatch[size] = queries_of_dispatch(run)
        sent = messages_taken("devices", "control")
        assert sent["jobs.backup_device", "devices"] == size
    small, large = 2 * _WAVE, 6 * _WAVE
    assert creation[large] - creation[small] <= 4
    assert dispatch[large] <= 3 * dispatch[small]
    assert dispatch[large] / (large / _WAVE) <= 30  # one more per device would be 42
