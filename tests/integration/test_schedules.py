"""A job and its entry in the scheduler stay together; the entries of others are theirs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
)

from jobs.beat import SlotScheduler
from jobs.models import Job
from jobs.schedules import entries_repair, job_save_scheduled
from tests.factories import JobFactory

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


def test_what_was_loaded_before_the_entry_was_made_makes_no_second_one() -> None:
    job = JobFactory.create()
    stale = Job.objects.get()
    for each in (job, stale):
        each.schedule_type, each.interval_seconds = "interval", 60
        job_save_scheduled(job=each)
    assert PeriodicTask.objects.get().name == f"netraven job {job.pk}"
    entry_of(job).delete()
    job_save_scheduled(job=job)
    assert entry_of(job).enabled


def test_an_entry_that_was_deleted_is_made_again() -> None:
    job = JobFactory.create(**CRON)
    entry_of(job).delete()
    job_save_scheduled(job=Job.objects.get(pk=job.pk))
    assert entry_of(job).enabled


def test_a_disabled_job_has_a_disabled_entry() -> None:
    job = JobFactory.create(**CRON, is_enabled=False)
    assert not entry_of(job).enabled
    job.is_enabled = True
    job_save_scheduled(job=job)
    assert entry_of(job).enabled


def test_the_entries_of_others_stay_as_they_are(foreign: PeriodicTask) -> None:
    before = PeriodicTask.objects.filter(pk=foreign.pk).values().get()
    job = JobFactory.create(**CRON)
    job.schedule_type, job.interval_seconds = "interval", 60
    job_save_scheduled(job=job)
    job.delete()
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


def test_an_entry_of_others_with_our_name_stays_theirs(foreign: PeriodicTask) -> None:
    job = JobFactory.create()
    PeriodicTask.objects.filter(pk=foreign.pk).update(name=f"netraven job {job.pk}")
    before = PeriodicTask.objects.filter(pk=foreign.pk).values().get()
    job.schedule_type, job.cron = "cron", "0 2 * * *"
    job_save_scheduled(job=job)
    assert entry_of(job).name == f"netraven job {job.pk} (2)"
    job.delete()
    assert PeriodicTask.objects.filter(pk=foreign.pk).values().get() == before


@pytest.mark.parametrize("many", [False, True])
def test_deleting_jobs_takes_their_entries_along(many: bool, foreign: PeriodicTask) -> None:
    jobs = [JobFactory.create(**CRON) for _ in range(3)]
    if many:
        Job.objects.all().delete()
    else:
        for job in jobs:
            job.delete()
    assert list(PeriodicTask.objects.values_list("pk", flat=True)) == [foreign.pk]


def test_deleting_what_was_loaded_before_the_entry_was_made_takes_it_along() -> None:
    job = JobFactory.create()
    stale = Job.objects.get()
    job.schedule_type, job.interval_seconds = "interval", 60
    job_save_scheduled(job=job)
    stale.delete()
    assert not PeriodicTask.objects.exists()


def test_a_job_that_is_not_deleted_after_all_keeps_its_entry() -> None:
    job = JobFactory.create(**CRON)
    with pytest.raises(RuntimeError), transaction.atomic():
        Job.objects.all().delete()
        raise RuntimeError
    assert entry_of(job).enabled


# --- entries that somebody touched --------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"task": "jobs.prune"},
        {"args": "[999]"},
        {"kwargs": '{"job_id": 1}'},
        {"queue": "devices"},
        {"expire_seconds": None},
        {"start_time": LATER},
        {"expires": LATER},
        {"one_off": True},
        {"priority": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_entry_that_was_edited_is_brought_in_step(change: dict[str, Any]) -> None:
    job = JobFactory.create(**CRON)
    before = PeriodicTask.objects.filter(job=job).values(*change, "pk").get()
    assert entries_repair() == 0
    PeriodicTask.objects.filter(job=job).update(**change)
    assert entries_repair() == 1
    assert PeriodicTask.objects.filter(job=job).values(*change, "pk").get() == before
    assert entries_repair() == 0


@pytest.mark.parametrize(
    "fields",
    [
        CRON,
        {"schedule_type": "interval", "interval_seconds": 300},
        {"schedule_type": "onetime", "run_at": LATER},
    ],
    ids=lambda fields: fields["schedule_type"],
)
def test_an_entry_whose_schedule_was_edited_or_deleted_is_brought_in_step(
    fields: dict[str, Any],
) -> None:
    job = JobFactory.create(**fields)
    row = entry_of(job).scheduler
    edited: dict[str, dict[str, Any]] = {
        "interval": {"every": 7},
        "cron": {"hour": "5"},
        "onetime": {"clocked_time": "2099-01-01T00:00Z"},
    }
    for name, value in edited[fields["schedule_type"]].items():
        setattr(row, name, value)
    row.save()
    assert entries_repair() == 1
    assert entry_of(job).scheduler.pk != row.pk
    entry_of(job).scheduler.delete()
    assert not PeriodicTask.objects.filter(job=job).exists()
    assert entries_repair() == 1
    assert entry_of(job).enabled
    assert entries_repair() == 0


def test_entries_in_step_take_one_query_however_many() -> None:
    for _ in range(3):
        JobFactory.create(**CRON)
        JobFactory.create()
    with CaptureQueriesContext(connection) as queries:
        assert entries_repair() == 0
    assert len(queries) == 1


def test_an_entry_in_step_is_not_saved_again() -> None:
    job = JobFactory.create(**CRON)
    changed = PeriodicTasks.last_change()
    job.description = "another"
    job_save_scheduled(job=job)
    assert PeriodicTasks.last_change() == changed


# --- beat ---------------------------------------------------------------------------------------


def test_beat_loads_every_entry_at_every_hour() -> None:
    jobs = [JobFactory.create(schedule_type="cron", cron=f"0 {hour} * * *") for hour in range(24)]
    scheduler = SlotScheduler(app=_app(), lazy=True)
    loaded = scheduler.all_as_schedule()
    assert {f"netraven job {job.pk}" for job in jobs} <= set(loaded)


def _app() -> Any:
    from netraven_site.celery import app

    return app


def test_beat_loads_any_number_of_entries_with_the_same_queries() -> None:
    JobFactory.create(**CRON)
    with CaptureQueriesContext(connection) as few:
        SlotScheduler(app=_app(), lazy=True).all_as_schedule()
    for _ in range(5):
        JobFactory.create(**CRON)
    with CaptureQueriesContext(connection) as many:
        SlotScheduler(app=_app(), lazy=True).all_as_schedule()
    assert len(many) == len(few)


@pytest.mark.django_db(transaction=True)
def test_beat_stores_in_one_statement_which_entries_rang() -> None:
    jobs = [JobFactory.create(schedule_type="interval", interval_seconds=60) for _ in range(5)]
    scheduler = SlotScheduler(app=_app(), lazy=True)
    for job in jobs:
        scheduler.reserve(scheduler.schedule[f"netraven job {job.pk}"])
    changed = PeriodicTasks.last_change()
    with CaptureQueriesContext(connection) as queries:
        scheduler.sync()
    assert sum(query["sql"].startswith("UPDATE") for query in queries) == 1
    assert PeriodicTasks.last_change() == changed
    rang = PeriodicTask.objects.filter(job__in=jobs)
    assert {(entry.total_run_count, entry.last_run_at is not None) for entry in rang} == {(1, True)}
    assert not scheduler._dirty


@pytest.mark.django_db(transaction=True)
def test_beat_asks_for_changes_once_a_second_at_the_most() -> None:
    scheduler = SlotScheduler(app=_app(), lazy=True)
    with CaptureQueriesContext(connection) as queries:
        for _ in range(50):
            scheduler.schedule_changed()
    assert sum("periodictasks" in query["sql"] for query in queries) == 1
