"""The admin: every page renders, secrets go in and never out, schedules follow their jobs."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from backups.models import Archive, ArchiveReading, CurrentText, Snapshot, StoreCheck, Suspect
from credentials.models import Credential, InstallationKey, TagLimit
from credentials.services import credential_open
from inventory.models import Device
from jobs.models import (
    AuditCheck,
    ConnectionLog,
    Job,
    JobLog,
    JobRun,
    NotificationAttempt,
    PhaseDuration,
    PlatformDetection,
    ReconcilerTick,
    SyslogCount,
)
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    UserFactory,
    user_with,
)
from tests.support.admin_pages import registered
from tests.support.admin_rows import CANARY, HOSTILE, a_row_of_everything

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

OURS = ("credentials", "inventory", "backups", "jobs")


@pytest.fixture
def browser(client: Client) -> Client:
    client.force_login(UserFactory.create(is_superuser=True, is_staff=True))
    return client


def url(model: type[Model], page: str, *arguments: object) -> str:
    meta = model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{page}", args=arguments)


def page(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def test_every_model_has_its_pages() -> None:
    missing = {
        model.__name__
        for label in OURS
        for model in apps.get_app_config(label).get_models()
        if model not in registered()
    }
    # The limit of a user is on the page of the user.
    elsewhere = {TagLimit.__name__}
    assert missing - elsewhere == {
        ReconcilerTick.__name__,
        CurrentText.__name__,
        InstallationKey.__name__,
        # On the page System.
        StoreCheck.__name__,
        # Read as metrics.
        PhaseDuration.__name__,
        SyslogCount.__name__,
        AuditCheck.__name__,
        # On the page of its message.
        NotificationAttempt.__name__,
    }


@pytest.mark.parametrize("model", sorted(registered(), key=str), ids=str)
def test_every_page_renders_and_escapes(browser: Client, model: type[Model]) -> None:
    a_row_of_everything()
    listed = page(browser, url(model, "changelist"))
    assert HOSTILE not in listed and CANARY not in listed
    page(browser, url(model, "changelist") + "?q=x")
    adds = browser.get(url(model, "add"))
    assert adds.status_code in {200, 403}
    for row in model._default_manager.all()[:2]:
        shown = page(browser, url(model, "change", row.pk))
        assert HOSTILE not in shown and CANARY not in shown


def test_what_netraven_writes_is_only_looked_at(browser: Client) -> None:
    a_row_of_everything()
    for model in (
        JobRun,
        JobLog,
        ConnectionLog,
        PlatformDetection,
        Archive,
        ArchiveReading,
        Suspect,
    ):
        row = model._default_manager.first()
        assert row is not None
        assert browser.get(url(model, "add")).status_code == 403
        assert browser.post(url(model, "change", row.pk), {}).status_code == 403
        assert browser.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_a_snapshot_shows_its_text(browser: Client) -> None:
    a_row_of_everything()
    shown = page(browser, url(Snapshot, "change", Snapshot.objects.get().pk))
    assert html.escape(HOSTILE) in shown


@pytest.mark.slow
def test_lists_ask_the_same_few_queries_however_long_they_are(browser: Client) -> None:
    counts: dict[type[Model], list[int]] = {}
    rows: dict[type[Model], list[int]] = {}
    for more in (1, 3):
        for _ in range(more):
            a_row_of_everything()
        for model in registered():
            with CaptureQueriesContext(connection) as captured:
                page(browser, url(model, "changelist"))
            counts.setdefault(model, []).append(len(captured))
            rows.setdefault(model, []).append(model._default_manager.count())
    grown = {model for model, (few, many) in rows.items() if few < many}
    assert {model for model in rows if model._meta.app_label in OURS} - grown == set()
    for model in grown:
        few, many = counts[model]
        # Each filter at the side that lists rows of another table asks once.
        assert few == many <= 20, f"{model}: {few} queries for few rows, {many} for many"


def test_pages_of_archives_leave_the_archives_alone(browser: Client) -> None:
    a_row_of_everything()
    with CaptureQueriesContext(connection) as captured:
        page(browser, url(Archive, "changelist"))
        page(browser, url(Suspect, "changelist"))
        for pk in Archive.objects.values_list("pk", flat=True):
            page(browser, url(Archive, "change", pk))
    assert not [query for query in captured if '"sealed"' in query["sql"]]


# --- Credentials --------------------------------------------------------------------------------


def fields(**changed: object) -> dict[str, object]:
    values: dict[str, object] = {
        "name": "login",
        "username": "netops",
        "priority": 100,
        "is_active": "on",
        "tags": [],
        "description": "",
        "provider": "stored",
    }
    return values | changed


def test_a_credential_goes_to_a_provider_and_comes_back(browser: Client) -> None:
    credential = CredentialFactory.create(enable_secret="enable-1")
    path = url(Credential, "change", credential.pk)
    vault = {"provider": "vault", "reference": "network/lab"}
    assert browser.post(path, fields(**vault, password=f"{CANARY}-1")).status_code == 200
    assert browser.post(path, fields(provider="vault", reference="../x")).status_code == 200
    assert Credential.objects.get().has_password
    assert browser.post(path, fields(**vault)).status_code == 302
    moved = Credential.objects.get()
    assert (moved.provider, moved.has_password, moved.has_enable_secret) == ("vault", False, False)
    assert browser.post(path, fields(password=f"{CANARY}-2")).status_code == 302
    assert credential_open(credential=Credential.objects.get()).password == f"{CANARY}-2"


def test_a_credential_is_made_and_its_secrets_stay_unseen(browser: Client) -> None:
    secrets = {
        "password": f" {CANARY}-password ",
        "enable_secret": f"{CANARY}-enable",
        "ssh_key": f"-----BEGIN PRIVATE KEY-----\r\n{CANARY}\r\n-----END PRIVATE KEY-----",
        "ssh_key_passphrase": f"{CANARY}-phrase",
    }
    answer = browser.post(url(Credential, "add"), fields(**secrets))
    assert answer.status_code == 302
    credential = Credential.objects.get()
    opened = credential_open(credential=credential)
    assert opened.password == secrets["password"]
    assert opened.enable_secret == secrets["enable_secret"]
    assert opened.ssh_key is not None and CANARY in opened.ssh_key
    assert CANARY not in page(browser, url(Credential, "change", credential.pk))
    assert CANARY not in page(browser, url(Credential, "changelist"))
    assert CANARY not in page(browser, url(Credential, "history", credential.pk))


def test_a_failed_form_does_not_give_the_secret_back(browser: Client) -> None:
    bad = fields(priority=0, password=f"{CANARY}-1", ssh_key=f"{CANARY}-2", enable_secret="a\nb")
    answer = browser.post(url(Credential, "add"), bad)
    assert answer.status_code == 200
    assert CANARY not in answer.content.decode()
    assert Credential.objects.count() == 0


def test_a_change_without_secrets_keeps_them(browser: Client) -> None:
    credential = CredentialFactory.create(enable_secret="enable-1")
    before: dict[str, Any] = dict(Credential.objects.values().get())
    answer = browser.post(
        url(Credential, "change", credential.pk), fields(name="renamed", username="other")
    )
    assert answer.status_code == 302, answer.content
    after: dict[str, Any] = dict(Credential.objects.values().get())
    sealed = [name for name in before if name.startswith("sealed")]
    assert [bytes(after[name] or b"") for name in sealed] == [
        bytes(before[name] or b"") for name in sealed
    ]
    assert (after["name"], after["username"]) == ("renamed", "other")


def test_a_new_password_replaces_only_the_password(browser: Client) -> None:
    credential = CredentialFactory.create(enable_secret="enable-1")
    browser.post(url(Credential, "change", credential.pk), fields(password="new-password"))
    opened = credential_open(credential=Credential.objects.get())
    assert (opened.password, opened.enable_secret) == ("new-password", "enable-1")


def test_a_credential_needs_a_secret(browser: Client) -> None:
    answer = browser.post(url(Credential, "add"), fields(enable_secret="only-enable"))
    assert "needs a password or an SSH key" in answer.content.decode()
    assert Credential.objects.count() == 0


def test_a_name_is_taken_in_any_case(browser: Client) -> None:
    CredentialFactory.create(name="LOGIN")
    answer = browser.post(url(Credential, "add"), fields(password="a-password"))
    assert "There is already a credential with this name" in answer.content.decode()


# --- Jobs ---------------------------------------------------------------------------------------


def job_fields(**changed: object) -> dict[str, object]:
    values: dict[str, object] = {
        "name": "nightly",
        "description": "",
        "is_enabled": "on",
        "tags": [],
        "schedule_type": "cron",
        "interval_seconds": "",
        "cron": "0 2 * * *",
        "time_zone": "Europe/Berlin",
        "run_at_0": "",
        "run_at_1": "",
        "catch_up": "run_once",
        "blackouts": "",
        "start_jitter_seconds": "0",
    }
    return values | changed


def test_a_job_takes_its_schedule_along(browser: Client) -> None:
    others = PeriodicTask.objects.count()
    assert browser.post(url(Job, "add"), job_fields()).status_code == 302
    job = Job.objects.get()
    entry = PeriodicTask.objects.get(job=job)
    assert json.loads(entry.args) == [job.pk]
    assert (str(entry.crontab.timezone), entry.crontab.hour) == ("Europe/Berlin", "2")

    change = url(Job, "change", job.pk)
    hourly = job_fields(schedule_type="interval", interval_seconds=3600)
    assert browser.post(change, hourly).status_code == 302
    entry.refresh_from_db()
    assert entry.crontab is None and entry.interval.every == 3600

    assert browser.post(change, job_fields(schedule_type="none")).status_code == 302
    assert PeriodicTask.objects.count() == others
    assert browser.post(change, job_fields()).status_code == 302
    assert PeriodicTask.objects.count() == others + 1
    assert browser.post(url(Job, "delete", job.pk), {"post": "yes"}).status_code == 302
    assert PeriodicTask.objects.count() == others


def test_deleting_many_jobs_takes_their_schedules_along(browser: Client) -> None:
    others = PeriodicTask.objects.count()
    jobs = [JobFactory.create(schedule_type="cron", cron="0 2 * * *") for _ in range(3)]
    browser.post(
        url(Job, "changelist"),
        {
            "action": "delete_selected",
            "_selected_action": [job.pk for job in jobs[:2]],
            "post": "yes",
        },
    )
    assert Job.objects.get() == jobs[2]
    assert PeriodicTask.objects.count() == others + 1


@pytest.mark.parametrize(
    "changed",
    [
        {"cron": "61 * * * *"},
        {"cron": ""},
        {"time_zone": "../../etc/passwd"},
        {"schedule_type": "sometimes"},
        {"catch_up": "sometimes"},
        {"blackouts": "lunch"},
        {"start_jitter_seconds": "3601"},
        {"schedule_type": "interval", "interval_seconds": 5},
        {"schedule_type": "onetime", "run_at_0": "2020-01-01", "run_at_1": "00:00"},
        {"name": ""},
    ],
)
def test_a_wrong_job_is_shown_again(browser: Client, changed: dict[str, object]) -> None:
    answer = browser.post(url(Job, "add"), job_fields(**changed))
    assert answer.status_code == 200
    assert "Please correct the error" in answer.content.decode()
    assert Job.objects.count() == 0


def test_run_now(browser: Client) -> None:
    job, disabled = JobFactory.create(), JobFactory.create(is_enabled=False)
    answer = browser.post(
        url(Job, "changelist"),
        {"action": "run_now", "_selected_action": [job.pk, disabled.pk]},
        follow=True,
    )
    run = JobRun.objects.get()
    assert (run.job, run.trigger) == (job, "manual")
    assert "is disabled" in answer.content.decode()


def test_run_now_needs_its_right(client: Client) -> None:
    user = user_with("jobs.view_job", "jobs.change_job")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=user.pk))
    job = JobFactory.create()
    client.post(url(Job, "changelist"), {"action": "run_now", "_selected_action": [job.pk]})
    assert JobRun.objects.count() == 0


def test_cancelling_and_retrying_runs(browser: Client) -> None:
    now = timezone.now()
    open_run = DeviceResultFactory.create().run
    ended = JobRunFactory.create(status="COMPLETED_FAILURE", finished_at=now)
    DeviceResultFactory.create(run=ended, status="FAILED", finished_at=now)
    chosen = [open_run.pk, ended.pk]
    answer = browser.post(
        url(JobRun, "changelist"), {"action": "cancel", "_selected_action": chosen}, follow=True
    )
    open_run.refresh_from_db()
    assert (open_run.status, open_run.cancelled_count) == ("CANCELLED", 1)
    assert "has ended already, as COMPLETED_FAILURE" in answer.content.decode()
    answer = browser.post(
        url(JobRun, "changelist"),
        {"action": "retry_failed", "_selected_action": chosen},
        follow=True,
    )
    assert [(run.retry_of, run.total_count) for run in JobRun.objects.exclude(pk__in=chosen)] == [
        (ended, 1)
    ]
    assert f"no device of run {open_run.pk} has failed" in answer.content.decode()


def test_cancelling_runs_needs_the_right_to_run_jobs(client: Client) -> None:
    user = user_with("jobs.view_jobrun", "jobs.change_job")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=user.pk))
    run = JobRunFactory.create()
    for action in ("cancel", "retry_failed"):
        client.post(url(JobRun, "changelist"), {"action": action, "_selected_action": [run.pk]})
    assert JobRun.objects.get().status == "RUNNING"


def test_forgetting_a_host_key(browser: Client) -> None:
    device = DeviceFactory.create()
    Device.objects.update(host_key="ssh-ed25519 AAAA")
    browser.post(
        url(Device, "changelist"), {"action": "forget_host_key", "_selected_action": [device.pk]}
    )
    device.refresh_from_db()
    assert device.host_key == ""


def test_a_device_with_history_is_not_deleted(browser: Client) -> None:
    a_row_of_everything()
    device = Device.objects.get()
    shown = browser.post(url(Device, "delete", device.pk), {"post": "yes"}, follow=True)
    assert shown.status_code == 200
    assert Device.objects.count() == 1
