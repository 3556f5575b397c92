"""Schedules as people and programs meet them: API, admin and commands."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from jobs.models import Job, JobRun
from jobs.schedules import slots_answer
from tests.factories import JobFactory, UserFactory, user_with
from tests.support.admin_pages import registered

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

BEAT_MODELS = [PeriodicTask, CrontabSchedule, IntervalSchedule, ClockedSchedule, SolarSchedule]


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    return client


def all_but_two_hours_from_here() -> str:
    """Blackouts that contain this moment, whatever it is, and end within a day."""
    now = timezone.now()
    return f"daily {now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=21):%H:%M}"


def command(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


# --- API ----------------------------------------------------------------------------------------


def test_a_job_says_when_it_starts_next(browser: Client) -> None:
    body = {
        "name": "nightly",
        "schedule_type": "cron",
        "cron": "0 2 * * *",
        "time_zone": "Europe/Berlin",
        "catch_up": "skip",
        "blackouts": "sat,sun 00:00-24:00",
        "start_jitter_seconds": 300,
    }
    made = browser.post("/api/v1/jobs/", body, content_type="application/json").json()
    assert {name: made[name] for name in body} == body
    starts = [datetime.fromisoformat(text) for text in made["next_runs"]]
    assert len(starts) == 5
    assert starts == sorted(starts) and starts[0] > timezone.now()
    assert all(start.astimezone(timezone.get_fixed_timezone(60)).weekday() < 5 for start in starts)
    assert browser.get(f"/api/v1/jobs/{made['id']}/").json()["next_runs"] == made["next_runs"]


def test_jobs_that_do_not_start_by_themselves_have_no_next_runs(browser: Client) -> None:
    JobFactory.create()
    JobFactory.create(schedule_type="cron", cron="0 2 * * *", is_enabled=False)
    listed = browser.get("/api/v1/jobs/").json()["results"]
    assert [job["next_runs"] for job in listed] == [[], []]


def test_a_list_of_jobs_takes_no_query_more_for_their_next_runs(browser: Client) -> None:
    JobFactory.create(schedule_type="cron", cron="0 2 * * *")
    with CaptureQueriesContext(connection) as few:
        browser.get("/api/v1/jobs/")
    for _ in range(5):
        JobFactory.create(schedule_type="interval", interval_seconds=60)
    with CaptureQueriesContext(connection) as many:
        browser.get("/api/v1/jobs/")
    assert len(many) == len(few)


def test_a_run_by_hand_in_a_blackout_starts_and_says_so(browser: Client) -> None:
    free, dark = JobFactory.create(), JobFactory.create(blackouts=all_but_two_hours_from_here())
    assert browser.post(f"/api/v1/jobs/{free.pk}/run/").json()["notice"] is None
    answer = browser.post(f"/api/v1/jobs/{dark.pk}/run/")
    assert answer.status_code == 202
    assert "has a blackout until" in answer.json()["notice"]
    assert JobRun.objects.filter(job=dark).exists()


def test_a_run_names_the_planned_time_that_it_answers(browser: Client) -> None:
    job = JobFactory.create(schedule_type="interval", interval_seconds=60)
    Job.objects.update(scheduled_since=timezone.now() - timedelta(seconds=90))
    slots_answer()
    [run] = browser.get(f"/api/v1/runs/?job={job.pk}").json()["results"]
    begin = Job.objects.get().scheduled_since
    assert begin is not None and datetime.fromisoformat(run["slot_at"]) == begin


# --- admin --------------------------------------------------------------------------------------


def test_the_page_of_a_job_shows_its_next_starts(browser: Client) -> None:
    job = JobFactory.create(schedule_type="cron", cron="0 4 * * *", time_zone="Europe/Berlin")
    page = browser.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    assert page.count("04:00:00 Europe/Berlin") == 5
    assert "mon-fri 08:00-18:00" in page


def test_bad_blackouts_are_named_beside_their_field(browser: Client) -> None:
    answer = browser.post(
        reverse("admin:jobs_job_add"),
        {
            "name": "x",
            "schedule_type": "none",
            "time_zone": "UTC",
            "catch_up": "run_once",
            "start_jitter_seconds": "0",
            "blackouts": "lunch\r\nmon 08:00-09:00",
        },
    )
    assert "line 1 &#x27;lunch&#x27; is no window" in answer.content.decode()


def test_run_now_mentions_a_blackout(browser: Client) -> None:
    job = JobFactory.create(blackouts=all_but_two_hours_from_here())
    answer = browser.post(
        reverse("admin:jobs_job_changelist"),
        {"action": "run_now", "_selected_action": [job.pk]},
        follow=True,
    )
    assert "has a blackout until" in answer.content.decode()
    assert JobRun.objects.get().job == job


def test_entries_of_the_scheduler_are_for_superusers(client: Client, browser: Client) -> None:
    job = JobFactory.create(schedule_type="cron", cron="0 2 * * *")
    entry = PeriodicTask.objects.get(job=job)
    changelist = reverse("admin:django_celery_beat_periodictask_changelist")
    assert "run_tasks" in browser.get(changelist).content.decode()
    assert browser.get(reverse("admin:django_celery_beat_periodictask_add")).status_code == 200

    names = [
        f"django_celery_beat.{right}_{model._meta.model_name}"
        for right in ("view", "add", "change", "delete")
        for model in BEAT_MODELS
    ]
    user = user_with(*names)
    user.is_staff = True
    user.save()
    client.force_login(user)
    for model in BEAT_MODELS:
        name = model._meta.model_name
        assert client.get(reverse(f"admin:django_celery_beat_{name}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:django_celery_beat_{name}_add")).status_code == 403
    page = client.get(changelist).content.decode()
    assert "run_tasks" not in page
    body = {"action": "disable_tasks", "_selected_action": [entry.pk]}
    client.post(changelist, body)
    change = reverse("admin:django_celery_beat_periodictask_change", args=[entry.pk])
    assert client.post(change, {"name": "x", "task": "jobs.prune"}).status_code == 403
    entry.refresh_from_db()
    assert (entry.enabled, entry.task) == (True, "jobs.launch_scheduled")


def test_every_model_of_the_scheduler_is_guarded() -> None:
    guarded_by = {
        model: type(model_admin).__module__
        for model, model_admin in registered().items()
        if model._meta.app_label == "django_celery_beat"
    }
    assert set(guarded_by) == set(BEAT_MODELS)
    assert set(guarded_by.values()) == {"jobs.admin.schedules"}


# --- commands -----------------------------------------------------------------------------------


def test_a_job_is_made_with_blackouts_and_jitter() -> None:
    command(
        *("create_job", "nightly", "--schedule-type=cron", "--cron=0 2 * * *"),
        *("--catch-up=skip", "--blackout=mon-fri 08:00-18:00", "--blackout=sat 00:00-24:00"),
        "--start-jitter-seconds=60",
    )
    job = Job.objects.get()
    assert (job.catch_up, job.start_jitter_seconds) == ("skip", 60)
    assert job.blackouts == "mon-fri 08:00-18:00\nsat 00:00-24:00"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--blackout=mon 08:00-09:00", "--blackout=lunch"], "line 2 'lunch' is no window"),
        (["--start-jitter-seconds=3601"], "less than or equal to 3600"),
        (["--schedule-type=cron", "--cron=0 2 * * fri-mon"], "ranges go upwards"),
        (
            [
                *("--schedule-type=cron", "--cron=0 9 * * *", "--catch-up=skip"),
                "--blackout=daily 08:00-18:00",
            ],
            "nothing would ever start",
        ),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(options: list[str], words: str) -> None:
    with pytest.raises(CommandError) as caught:
        command("create_job", "nightly", *options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert Job.objects.count() == 0


def test_run_job_mentions_a_blackout(capsys: pytest.CaptureFixture[str]) -> None:
    job = JobFactory.create(blackouts=all_but_two_hours_from_here())
    with pytest.raises(SystemExit):
        call_command("run_job", job.name, "--json")
    printed = capsys.readouterr()
    assert f"note: job '{job.name}' has a blackout until" in printed.err
    assert json.loads(printed.out)["status"] == "COMPLETED_NO_DEVICES"


def test_schedules_in_words_with_what_was_and_what_comes() -> None:
    job = JobFactory.create(
        name="nightly",
        schedule_type="cron",
        cron="30 2 * * mon-fri",
        time_zone="Europe/Berlin",
        blackouts="sat,sun 00:00-24:00",
    )
    JobFactory.create(name="by hand")
    JobFactory.create(name="off", schedule_type="interval", interval_seconds=900, is_enabled=False)
    Job.objects.filter(pk=job.pk).update(scheduled_since=timezone.now() - timedelta(days=9))
    slots_answer()
    run = JobRun.objects.get()
    lines = command("schedules").splitlines()
    assert lines[0] == "by hand: no schedule"
    assert lines[1] == "nightly: At 02:30 on Monday through Friday (Europe/Berlin)"
    assert lines[2] == "  blackout  sat,sun 00:00-24:00"
    assert lines[3].endswith(f"02:30:00 Europe/Berlin: run {run.pk} COMPLETED_NO_DEVICES")
    assert [line.split()[0] for line in lines[4:9]] == ["next"] * 5
    assert lines[9] == "off: every 15 minutes, disabled"
    assert command("schedules", "by hand") == "by hand: no schedule\n"


def test_schedules_as_json() -> None:
    job = JobFactory.create(schedule_type="interval", interval_seconds=60)
    Job.objects.update(scheduled_since=timezone.now() - timedelta(seconds=70))
    slots_answer()
    [report] = json.loads(command("schedules", "--json"))
    run = JobRun.objects.get()
    assert run.slot_at is not None
    assert report["id"] == job.pk
    assert report["schedule"] == "every minute"
    assert report["last_run"] == {"id": run.pk, "status": run.status}
    first: dict[str, Any] = {"last": report["last_slot"], "next": report["next_runs"][0]}
    last, following = (datetime.fromisoformat(first[name]) for name in ("last", "next"))
    assert following - last == timedelta(seconds=60)


def test_schedules_take_the_same_queries_for_any_number_of_jobs() -> None:
    JobFactory.create(schedule_type="interval", interval_seconds=60)
    with CaptureQueriesContext(connection) as few:
        command("schedules")
    for _ in range(4):
        JobFactory.create(schedule_type="cron", cron="0 2 * * *")
    with CaptureQueriesContext(connection) as many:
        command("schedules")
    assert len(many) == len(few)


def test_no_schedules() -> None:
    assert command("schedules") == "there are no jobs yet\n"
    with pytest.raises(CommandError, match="there is no job 'x'"):
        command("schedules", "x")
