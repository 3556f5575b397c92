"""Each planned time is answered once, whoever notices it, however late and however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from jobs.models import Job, JobLog, JobRun
from jobs.reconcile import reconcile
from jobs.schedules import (
    entries_repair,
    job_save_scheduled,
    launch_scheduled,
    slot_answer,
    slots_answer,
)
from jobs.selectors.clock import database_now
from jobs.selectors.schedules import next_starts_of
from tests.factories import DeviceFactory, JobFactory
from tests.support.threads import all_at_once

#: Later than any real time of a test, so that what the database's clock says is before it.
DAY = datetime(2100, 6, 1, tzinfo=UTC)  # a Tuesday
NIGHTLY: dict[str, Any] = {"schedule_type": "cron", "cron": "0 2 * * *"}
MINUTE = timedelta(minutes=1)


def at(hour: int, minute: int = 0, *, day: int = 1) -> datetime:
    return DAY.replace(hour=hour, minute=minute, day=day)


def scheduled(since: datetime = DAY, **fields: Any) -> Job:
    """A job whose planned times begin at ``since``."""
    job = JobFactory.create(**fields)
    Job.objects.filter(pk=job.pk).update(scheduled_since=since)
    return Job.objects.get(pk=job.pk)


def slots() -> list[tuple[datetime | None, str]]:
    return list(JobRun.objects.order_by("pk").values_list("slot_at", "status"))


# --- once ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_planned_time_starts_one_run_however_often_one_looks() -> None:
    DeviceFactory.create(tags=["core"])
    job = scheduled(**NIGHTLY, tags=["core"])
    assert slots_answer(now=at(1, 59)) == 0
    assert [slots_answer(now=at(2, minute)) for minute in range(4)] == [1, 0, 0, 0]
    run = JobRun.objects.get()
    assert (run.job, run.trigger, run.slot_at, run.status) == (job, "schedule", at(2), "PENDING")
    assert run.total_count == 1


@pytest.mark.django_db
@pytest.mark.parametrize("early", [True, False])
def test_a_ring_is_only_a_reason_to_look(early: bool) -> None:
    job = scheduled(database_now() - (timedelta(0) if early else 2 * MINUTE), **NIGHTLY)
    Job.objects.filter(pk=job.pk).update(cron="* * * * *")
    if early:
        Job.objects.filter(pk=job.pk).update(cron="0 0 1 1 *")
        assert launch_scheduled(job.pk) is None
        return
    assert launch_scheduled(job.pk) == JobRun.objects.get().pk
    slot = JobRun.objects.get().slot_at
    assert slot is not None and (slot.second, slot.microsecond) == (0, 0)
    assert launch_scheduled(job.pk) is None


@pytest.mark.django_db
def test_a_ring_for_a_job_that_is_gone_or_disabled_starts_nothing() -> None:
    assert launch_scheduled(999_999) is None
    job = scheduled(DAY, **NIGHTLY)
    Job.objects.filter(pk=job.pk).update(is_enabled=False)
    assert slot_answer(job_id=job.pk, now=at(3)) is None
    assert slots_answer(now=at(3)) == 0


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_run() -> None:
    DeviceFactory.create(tags=["core"])
    for _ in range(3):
        scheduled(**NIGHTLY, tags=["core"])
    made = all_at_once(6, lambda: slots_answer(now=at(2)))
    assert sum(made) == 3
    assert slots() == [(at(2), "PENDING")] * 3


@pytest.mark.django_db
def test_the_reconciler_answers_without_any_beat() -> None:
    job = scheduled(
        database_now() - timedelta(minutes=5), schedule_type="interval", interval_seconds=120
    )
    done = reconcile()
    assert (done.slots_answered, reconcile().slots_answered) == (1, 0)
    begin = job.scheduled_since
    assert begin is not None
    assert JobRun.objects.get().slot_at == begin + timedelta(minutes=4)


@pytest.mark.django_db
def test_looking_takes_one_query_however_many_jobs_there_are() -> None:
    for _ in range(5):
        scheduled(**NIGHTLY)
    with CaptureQueriesContext(connection) as queries:
        assert slots_answer(now=at(1)) == 0
    assert len(queries) == 1


# --- missed times -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_after_down_time_one_run_stands_for_all_that_were_missed() -> None:
    scheduled(**NIGHTLY)
    assert slots_answer(now=at(10, day=5)) == 1
    assert slots_answer(now=at(10, 1, day=5)) == 0
    assert slots_answer(now=at(2, day=6)) == 1
    assert [slot for slot, _ in slots()] == [at(2, day=5), at(2, day=6)]
    late = JobLog.objects.get(run=JobRun.objects.earliest("pk"), message__contains="starts late")
    assert "nothing could start it in time" in late.message


@pytest.mark.django_db
def test_a_job_that_skips_missed_times_says_so_in_a_run_that_did_not_take_place() -> None:
    scheduled(**NIGHTLY, catch_up="skip")
    assert slots_answer(now=at(10, day=5)) == 1
    assert slots_answer(now=at(10, 1, day=5)) == 0
    run = JobRun.objects.get()
    assert (run.status, run.slot_at, run.total_count) == ("CANCELLED", at(2, day=5), 0)
    assert "was missed" in run.status_reason
    assert JobLog.objects.get(run=run).message == run.status_reason
    assert slots_answer(now=at(2, day=6)) == 1
    assert slots()[-1] == (at(2, day=6), "COMPLETED_NO_DEVICES")


@pytest.mark.django_db
def test_runs_that_are_deleted_are_not_started_again() -> None:
    scheduled(**NIGHTLY)
    slots_answer(now=at(2))
    JobRun.objects.all().delete()
    assert slots_answer(now=at(3)) == 0


# --- clocks -------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("back", [timedelta(seconds=30), timedelta(minutes=15), timedelta(days=3)])
def test_a_clock_that_goes_back_starts_nothing_twice(back: timedelta) -> None:
    scheduled(DAY - timedelta(days=10), **NIGHTLY)
    assert slots_answer(now=at(2, 5)) == 1
    now = at(2, 5) - back
    while now < at(3, day=2):
        slots_answer(now=now)
        now += timedelta(minutes=10)
    found = [slot for slot, _ in slots()]
    assert len(found) == len(set(found))
    assert {at(2), at(2, day=2)} <= set(found)


@pytest.mark.django_db
def test_a_clock_that_was_years_ahead_does_not_stop_a_job_for_years() -> None:
    scheduled(**NIGHTLY)
    assert slots_answer(now=at(2).replace(year=2150)) == 1
    for hour in range(48):
        slots_answer(now=at(0) + timedelta(hours=hour))
    assert [slot for slot, _ in slots()][1:] == [at(2), at(2, day=2)]


@pytest.mark.django_db
def test_intervals_keep_their_grid_when_the_clock_goes_back() -> None:
    scheduled(at(0, 7), schedule_type="interval", interval_seconds=3600)
    assert slots_answer(now=at(5, 10)) == 1
    slots_answer(now=at(3, 30))
    assert slots_answer(now=at(4, 10)) == 1
    assert slots_answer(now=at(5, 10)) == 0
    assert slots_answer(now=at(6, 10)) == 1
    assert [slot for slot, _ in slots()] == [at(5, 7), at(4, 7), at(6, 7)]


@pytest.mark.django_db
@pytest.mark.parametrize("night", [(3, 28), (10, 31)])
def test_one_run_in_the_nights_when_the_clocks_change(night: tuple[int, int]) -> None:
    begin = datetime(2027, *night, tzinfo=UTC) - timedelta(hours=4)
    scheduled(begin, schedule_type="cron", cron="30 2 * * *", time_zone="Europe/Berlin")
    made = [slots_answer(now=begin + 10 * step * MINUTE) for step in range(60)]
    assert sum(made) == 1


# --- from when on -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_planned_times_begin_when_the_schedule_does() -> None:
    before = database_now()
    job = JobFactory.create(**NIGHTLY)
    assert job.scheduled_since is not None
    assert before - timedelta(seconds=1) <= job.scheduled_since <= database_now()
    assert JobFactory.create().scheduled_since is None
    assert JobFactory.create(**NIGHTLY, is_enabled=False).scheduled_since is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "begins_anew"),
    [
        ({"description": "x"}, False),
        ({"blackouts": "daily 08:00-09:00", "start_jitter_seconds": 5}, False),
        ({"interval_seconds": 60}, False),
        ({"cron": "0 3 * * *"}, True),
        ({"time_zone": "Europe/Berlin"}, True),
        ({"schedule_type": "interval", "interval_seconds": 60}, True),
    ],
)
def test_only_another_schedule_begins_anew(change: dict[str, Any], begins_anew: bool) -> None:
    job = scheduled(DAY, **NIGHTLY)
    for name, value in change.items():
        setattr(job, name, value)
    job_save_scheduled(job=job)
    assert (Job.objects.get().scheduled_since != DAY) == begins_anew


@pytest.mark.django_db
def test_a_job_that_was_disabled_owes_nothing_for_that_time() -> None:
    job = scheduled(DAY - timedelta(days=365 * 80), **NIGHTLY)
    job.is_enabled = False
    job_save_scheduled(job=job)
    assert Job.objects.get().scheduled_since is None
    job.is_enabled = True
    job_save_scheduled(job=job)
    assert slots_answer() == 0


@pytest.mark.django_db
def test_saving_what_was_loaded_before_a_run_started_starts_it_no_second_time() -> None:
    job = scheduled(**NIGHTLY)
    slots_answer(now=at(2))
    job.description = "x"
    job_save_scheduled(job=job)
    assert Job.objects.get().scheduled_since == at(2)
    assert slots_answer(now=at(3)) == 0


@pytest.mark.django_db
def test_schedules_from_before_planned_times_were_kept_owe_nothing() -> None:
    old = scheduled(DAY, **NIGHTLY)
    plain, disabled = JobFactory.create(), JobFactory.create(**NIGHTLY, is_enabled=False)
    Job.objects.update(scheduled_since=None)
    import_module("jobs.migrations.0005_schedules_count_from_here").begin(apps, None)
    found = dict(Job.objects.values_list("pk", "scheduled_since"))
    begin = found[old.pk]
    assert begin is not None and begin <= timezone.now()
    assert (found[plain.pk], found[disabled.pk]) == (None, None)
    assert slots_answer() == 0


# --- one-time -----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=3)])
def test_a_single_time_runs_once_and_its_entry_is_disabled(late: timedelta) -> None:
    job = scheduled(schedule_type="onetime", run_at=at(2))
    assert PeriodicTask.objects.get(job=job).enabled
    assert slots_answer(now=at(2) + late) == 1
    assert not PeriodicTask.objects.get(job=job).enabled
    assert slots_answer(now=at(2) + 2 * late + MINUTE) == 0
    assert entries_repair() == 0
    assert slots() == [(at(2), "COMPLETED_NO_DEVICES")]
    job.refresh_from_db()
    job.description = "x"
    job_save_scheduled(job=job)
    assert slots_answer(now=at(10)) == 0
    assert next_starts_of(Job.objects.get()) == []


@pytest.mark.django_db
def test_a_single_time_can_be_set_anew() -> None:
    job = scheduled(schedule_type="onetime", run_at=at(2))
    slots_answer(now=at(2))
    job.run_at = at(5)
    job_save_scheduled(job=job)
    assert PeriodicTask.objects.get(job=job).enabled
    Job.objects.update(scheduled_since=at(2))
    assert slots_answer(now=at(5)) == 1


# --- blackouts and jitter -----------------------------------------------------------------------


@pytest.mark.django_db
def test_a_run_waits_for_the_end_of_a_blackout() -> None:
    scheduled(**NIGHTLY, blackouts="daily 01:00-04:00")
    assert slots_answer(now=at(2)) == slots_answer(now=at(3, 59)) == 0
    assert slots_answer(now=at(4)) == 1
    assert slots_answer(now=at(4, 1)) == 0
    [line] = JobLog.objects.filter(message__contains="starts late")
    assert "it lay in a blackout" in line.message


@pytest.mark.django_db
def test_a_run_in_a_blackout_is_left_out_by_jobs_that_skip() -> None:
    job = scheduled(
        schedule_type="cron", cron="0 2,5 * * *", blackouts="daily 01:00-04:00", catch_up="skip"
    )
    assert slots_answer(now=at(2)) == 0
    assert Job.objects.get(pk=job.pk).scheduled_since == at(2)
    assert slots_answer(now=at(4)) == 0
    assert slots_answer(now=at(5)) == 1


@pytest.mark.django_db
def test_a_run_starts_when_its_jitter_is_over() -> None:
    job = scheduled(**NIGHTLY, start_jitter_seconds=600)
    # Computed from now on, so for tonight; the jitter of DAY is another one.
    made = [slots_answer(now=at(2) + timedelta(seconds=second)) for second in range(0, 601, 10)]
    assert (sum(made), made[0]) == (1, 0)
    assert JobRun.objects.get(job=job).slot_at == at(2)


# --- rows that no form let in -------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "broken", [{"cron": "61 * * * *"}, {"time_zone": "Mars/Olympus"}, {"blackouts": "sometimes"}]
)
def test_a_broken_row_keeps_nobody_else_waiting(
    broken: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = scheduled(**NIGHTLY), scheduled(**NIGHTLY)
    Job.objects.filter(pk=bad.pk).update(**broken)
    assert slots_answer(now=at(2)) == 1
    assert JobRun.objects.get().job == good
    assert f"'job': {bad.pk}" in caplog.text and "schedule.impossible" in caplog.text
    assert launch_scheduled(bad.pk) is None
    entries_repair()
    assert entries_repair() == 0
    assert next_starts_of(Job.objects.get(pk=bad.pk)) == []
