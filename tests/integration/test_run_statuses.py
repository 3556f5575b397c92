"""How a run ends: each final status by the way that leads to it, with the reason in its log."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone

from jobs.choices import FINAL_RUN_STATUSES, RunStatus, Trigger
from jobs.launch import request_cancel
from jobs.models import JobLog, JobRun
from jobs.services.run_creation import run_create
from jobs.services.runs import run_resolve_credentials, run_start
from jobs.tasks import Advance, dispatch_run, run_advance
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
)
from tests.support.threads import in_thread

pytestmark = pytest.mark.django_db

Patch = pytest.MonkeyPatch


def waiting_run() -> JobRun:
    """A run that was asked for, over one device that has a credential."""
    CredentialFactory.create(tags=["core"])
    DeviceFactory.create(tags=["core"])
    return run_create(job=JobFactory.create(tags=["core"]), trigger=Trigger.MANUAL)


def broken(**_: object) -> None:
    raise RuntimeError("Zq9-CANARY")


def _over(*statuses: str) -> Callable[[Patch], JobRun]:
    def end(_: Patch) -> JobRun:
        run = JobRunFactory.create()
        for status in statuses:
            DeviceResultFactory.create(run=run, status=status, finished_at=timezone.now())
        assert run_advance(run.pk) is Advance.ENDED
        return run

    return end


def _no_devices(_: Patch) -> JobRun:
    return run_create(job=JobFactory.create(), trigger=Trigger.MANUAL)


def _no_credentials(_: Patch) -> JobRun:
    DeviceFactory.create(tags=["core"])
    run = run_create(job=JobFactory.create(tags=["core"]), trigger=Trigger.MANUAL)
    dispatch_run(run.pk)
    return run


def _resolver_fails(patch: Patch) -> JobRun:
    run = waiting_run()
    patch.setattr("jobs.services.runs.credential_candidates", broken)
    dispatch_run(run.pk)
    return run


def _dispatcher_fails(patch: Patch) -> JobRun:
    run = waiting_run()
    patch.setattr("jobs.tasks.send_wave", lambda *_: broken())
    dispatch_run(run.pk)
    return run


def _end_fails(patch: Patch) -> JobRun:
    patch.setattr("jobs.services.runs.run_count_connections", broken)
    return _over("SUCCEEDED")(patch)


def _cancelled(_: Patch) -> JobRun:
    return request_cancel(run=waiting_run(), cancelled_by="jane")


WAYS: dict[RunStatus, Callable[[Patch], JobRun]] = {
    RunStatus.COMPLETED_SUCCESS: _over("SUCCEEDED", "SUCCEEDED"),
    RunStatus.COMPLETED_PARTIAL_FAILURE: _over("SUCCEEDED", "SKIPPED"),
    RunStatus.COMPLETED_FAILURE: _over("FAILED", "SUSPECT"),
    RunStatus.COMPLETED_NO_DEVICES: _no_devices,
    RunStatus.COMPLETED_NO_CREDENTIALS: _no_credentials,
    RunStatus.FAILED_CREDENTIAL_RESOLUTION: _resolver_fails,
    RunStatus.FAILED_DISPATCHER_ERROR: _dispatcher_fails,
    RunStatus.FAILED_UNEXPECTED: _end_fails,
    RunStatus.CANCELLED: _cancelled,
}


def test_there_is_a_way_to_each_of_them() -> None:
    assert set(WAYS) == FINAL_RUN_STATUSES


@pytest.mark.parametrize("status", sorted(WAYS))
def test_each_is_reached_and_explained(status: RunStatus, monkeypatch: Patch) -> None:
    run = WAYS[status](monkeypatch)
    run.refresh_from_db()
    assert run.status == status
    [line] = JobLog.objects.filter(run=run, message__startswith="the run ended as ")
    assert line.message.startswith(f"the run ended as {status}: ")
    assert "CANARY" not in line.message + run.status_reason
    if not status.startswith("COMPLETED") or status.startswith("COMPLETED_NO"):
        assert run.status_reason


def test_the_log_says_for_how_many_devices_a_credential_was_found() -> None:
    CredentialFactory.create(tags=["core"])
    for tags in (["core", "all"], ["core", "all"], ["all"]):
        DeviceFactory.create(tags=tags)
    gone = DeviceFactory.create(tags=["core", "all"])
    run = run_create(job=JobFactory.create(tags=["all"]), trigger=Trigger.MANUAL)
    gone.delete()
    run_start(run=run)
    run_resolve_credentials(run=run)
    [line] = JobLog.objects.filter(run=run, message__startswith="resolved")
    assert (line.message, line.level) == ("resolved the credentials of 2 of 4 devices", "warning")
    left_out = dict(
        run.results.filter(status="SKIPPED").values_list("error_category", "error_message")
    )
    assert left_out == {
        "": "the device was deleted during the run",
        "no_credential": ("no active credential fits the device; add a tag or a credential"),
    }


@pytest.mark.django_db(transaction=True)
def test_a_database_that_is_too_busy_fails_no_run() -> None:
    run = JobRunFactory.create()
    DeviceResultFactory.create(run=run, status="SUCCEEDED", finished_at=timezone.now())
    locked, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            JobRun.objects.select_for_update().get(pk=run.pk)
            locked.set()
            assert may_go.wait(30)

    with ThreadPoolExecutor(1) as pool, connection.cursor() as cursor:
        holding = in_thread(pool, hold)
        assert locked.wait(30)
        cursor.execute("SET lock_timeout = '50ms'")
        try:
            assert run_advance(run.pk) is Advance.NOTHING
        finally:
            cursor.execute("SET lock_timeout = DEFAULT")
            may_go.set()
            holding.result(30)
    assert run_advance(run.pk) is Advance.ENDED
    run.refresh_from_db()
    assert run.status == RunStatus.COMPLETED_SUCCESS
