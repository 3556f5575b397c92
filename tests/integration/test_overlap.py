"""A job whose earlier run is still open starts no other, unless it may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from jobs.choices import RunStatus, ScheduleType, Trigger
from jobs.launch import request_run
from jobs.models import Job, JobLog, JobRun
from jobs.schedules import job_save_scheduled, launch_scheduled
from jobs.services.run_creation import JobBusy
from tests.factories import DeviceFactory, JobFactory
from tests.support.threads import all_at_once

pytestmark = pytest.mark.django_db

SLOT = datetime(2027, 1, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def job() -> Job:
    DeviceFactory.create(tags=["core"])
    return JobFactory.create(name="nightly", tags=["core"])


@pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
@pytest.mark.parametrize("trigger", sorted(set(Trigger) - {Trigger.SCHEDULE}))
def test_who_asks_is_told_which_run_is_open(job: Job, status: RunStatus, trigger: Trigger) -> None:
    first = request_run(job=job, trigger=Trigger.MANUAL)
    JobRun.objects.update(status=status)
    with pytest.raises(JobBusy) as refused:
        request_run(job=job, trigger=trigger)
    assert str(refused.value) == (
        f"run {first.pk} of job 'nightly' is still {status}; wait for its end, cancel it, or allow "
        "the job to overlap"
    )
    assert JobRun.objects.count() == 1


def test_a_scheduled_run_is_recorded_as_cancelled(job: Job) -> None:
    first = request_run(job=job, trigger=Trigger.MANUAL)
    run = request_run(job=job, trigger=Trigger.SCHEDULE, slot_at=SLOT)
    assert (run.status, run.slot_at, run.total_count) == (RunStatus.CANCELLED, SLOT, 0)
    assert run.status_reason == f"run {first.pk} of the same job was still open at this time"
    assert run.finished_at is not None and not run.results.exists()
    assert JobLog.objects.filter(run=run, message__contains=f"run {first.pk} of").exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        request_run(job=job, trigger=Trigger.SCHEDULE, slot_at=SLOT)


def test_a_schedule_that_fires_meanwhile_starts_nothing(job: Job) -> None:
    request_run(job=job, trigger=Trigger.MANUAL)
    job.schedule_type, job.interval_seconds = ScheduleType.INTERVAL, 3600
    job_save_scheduled(job=job)
    Job.objects.update(scheduled_since=timezone.now() - timedelta(minutes=61))
    answered = launch_scheduled(job.pk)
    assert JobRun.objects.get(status=RunStatus.CANCELLED).pk == answered


def test_a_run_that_has_ended_is_not_in_the_way(job: Job) -> None:
    first = request_run(job=job, trigger=Trigger.MANUAL)
    JobRun.objects.update(status=RunStatus.COMPLETED_SUCCESS, finished_at=first.created_at)
    assert request_run(job=job, trigger=Trigger.MANUAL).status == RunStatus.PENDING


def test_runs_of_other_jobs_are_not_in_the_way(job: Job) -> None:
    request_run(job=JobFactory.create(tags=["core"]), trigger=Trigger.MANUAL)
    assert request_run(job=job, trigger=Trigger.MANUAL).status == RunStatus.PENDING


def test_a_job_may_be_allowed_to_overlap(job: Job) -> None:
    request_run(job=job, trigger=Trigger.MANUAL)
    Job.objects.update(allow_overlap=True)
    for trigger in (Trigger.MANUAL, Trigger.SCHEDULE):
        assert request_run(job=job, trigger=trigger).status == RunStatus.PENDING


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_starts(job: Job) -> None:
    def ask() -> bool:
        try:
            request_run(job=job, trigger=Trigger.API)
        except JobBusy:
            return False
        return True

    assert sum(all_at_once(6, ask)) == 1
    assert JobRun.objects.count() == 1
