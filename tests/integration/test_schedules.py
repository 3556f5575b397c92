"""A job and its entry in the scheduler stay together; the entries of others are theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from jobs.beat import SlotScheduler
from jobs.models import Job, JobRun
from jobs.schedules import job_delete, job_save_scheduled, launch_scheduled
from tests.factories import DeviceFactory, JobFactory

pytestmark = pytest.mark.django_db

CRON = {"schedule_type": "cron", "cron": "30 2 * * mon", "time_zone": "Europe/Berlin"}
LATER = datetime(2100, 1, 1, 2, 0, tzinfo=UTC)


@pytest.fixture
def foreign() -> PeriodicTask:
    """An entry of somebody else, on the very schedule that our jobs use."""
    crontab = CrontabSchedule.objects.create(
        minute="30", hour="2", day_of_week="mon", timezone="Europe/Berlin"
    )
    return PeriodicTask.objects.create(name="theirs", task="their.task", crontab=crontab)


def entry_of(job: Job) -> PeriodicTask:
    return PeriodicTask.objects.get(job=job)


@pytest.mark.parametrize(
    ("fields", "schedule"),
    [
        ({"schedule_type": "interval", "interval_seconds": 300}, "every 5 minutes"),
        ({"schedule_type": "onetime", "run_at": LATER}, "2100"),
        (CRON, "30 2 * * mon"),
    ],
)
def test_each_kind_of_schedule(fields: dict[str, Any], schedule: str) -> None:
    job = JobFactory.create(**fields)
    entry = entry_of(job)
    assert (entry.task, entry.queue, json.loads(entry.args)) == (
        "jobs.launch_scheduled",
        "control",
        [job.pk],
    )
    assert entry.enabled
    assert entry.one_off == (fields["schedule_type"] == "onetime")
    chosen = [entry.interval, entry.crontab, entry.clocked]
    assert sum(kind is not None for kind in chosen) == 1
    if entry.interval is not None:
        assert (entry.interval.every, entry.interval.period) == (300, "seconds")
    else:
        assert schedule in str(entry.crontab or entry.clocked)


def test_changing_the_kind_keeps_the_one_entry() -> None:
    job = JobFactory.create(**CRON)
    first = entry_of(job).pk
    changes: list[tuple[str, dict[str, Any]]] = [
        ("interval", {"interval_seconds": 60}),
        ("onetime", {"run_at": LATER}),
        ("cron", {}),
    ]
    for kind, fields in changes:
        job.schedule_type = kind
        for name, value in fields.items():
            setattr(job, name, value)
        job_save_scheduled(job=job)
        assert entry_of(job).pk == first
    job.schedule_type = "none"
    job_save_scheduled(job=job)
    assert not PeriodicTask.objects.filter(pk=first).exists()
    assert Job.objects.get().periodic_task is None


def test_a_stale_job_object_makes_no_second_entry() -> None:
    job = JobFactory.create(**CRON)
    for _ in range(2):
        fresh = Job.objects.get(pk=job.pk)
        fresh.description = "x"
        job_save_scheduled(job=fresh)
    assert PeriodicTask.objects.filter(task="jobs.launch_scheduled").count() == 1


def test_an_entry_that_was_deleted_is_made_again() -> None:
    job = JobFactory.create(**CRON)
    entry_of(job).delete()
    job_save_scheduled(job=Job.objects.get(pk=job.pk))
    assert entry_of(job).enabled


def test_a_disabled_job_has_a_disabled_entry() -> None:
    job = JobFactory.create(**CRON, is_enabled=False)
    assert not entry_of(job).enabled
    assert launch_scheduled(job.pk) is None
    assert JobRun.objects.count() == 0


def test_the_entries_of_others_stay_as_they_are(foreign: PeriodicTask) -> None:
    before = PeriodicTask.objects.filter(pk=foreign.pk).values().get()
    job = JobFactory.create(**CRON)
    job.schedule_type, job.interval_seconds = "interval", 60
    job_save_scheduled(job=job)
    job_delete(job=job)
    assert PeriodicTask.objects.filter(pk=foreign.pk).values().get() == before
    assert CrontabSchedule.objects.filter(pk=foreign.crontab_id).exists()
    assert not PeriodicTask.objects.filter(task="jobs.launch_scheduled").exists()


def test_schedule_rows_that_exist_twice_are_no_trouble() -> None:
    for _ in range(2):
        CrontabSchedule.objects.create(
            minute="30", hour="2", day_of_week="mon", timezone="Europe/Berlin"
        )
        IntervalSchedule.objects.create(every=60, period="seconds")
        ClockedSchedule.objects.create(clocked_time=LATER)
    for fields in (
        CRON,
        {"schedule_type": "interval", "interval_seconds": 60},
        {"schedule_type": "onetime", "run_at": LATER},
    ):
        assert entry_of(JobFactory.create(**fields)).enabled


def test_deleting_a_job_keeps_its_runs() -> None:
    job = JobFactory.create(**CRON)
    assert launch_scheduled(job.pk) is not None
    job_delete(job=job)
    run = JobRun.objects.get()
    assert (run.job, run.job_name) == (None, job.name)


def test_a_slot_starts_one_run_however_often_it_fires() -> None:
    DeviceFactory.create(tags=["core"])
    job = JobFactory.create(
        schedule_type="onetime", run_at=timezone.now() + timedelta(hours=1), tags=["core"]
    )
    started = [launch_scheduled(job.pk) for _ in range(3)]
    run = JobRun.objects.get()
    assert started == [run.pk, None, None]
    assert (run.trigger, run.slot_at, run.total_count) == ("schedule", job.run_at, 1)


def test_a_cron_slot_is_a_whole_minute() -> None:
    job = JobFactory.create(**CRON)
    launch_scheduled(job.pk)
    slot = JobRun.objects.get().slot_at
    assert slot is not None and (slot.second, slot.microsecond) == (0, 0)


def test_a_job_that_is_gone_starts_nothing() -> None:
    assert launch_scheduled(999_999) is None


def test_beat_loads_every_entry_at_every_hour() -> None:
    jobs = [JobFactory.create(schedule_type="cron", cron=f"0 {hour} * * *") for hour in range(24)]
    scheduler = SlotScheduler(app=_app(), lazy=True)
    loaded = scheduler.all_as_schedule()
    assert {f"netraven job {job.pk}" for job in jobs} <= set(loaded)


def _app() -> Any:
    from netraven_site.celery import app

    return app
