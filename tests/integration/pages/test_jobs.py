"""Jobs on pages: the list, the form with its preview, starting and deleting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from inventory.models import Device
from inventory.resolution import credential_candidates, devices_without_credential
from jobs.models import Job, JobRun
from netraven_site.accounts.roles import Role
from tests.factories import (
    CredentialFactory,
    DeviceFactory,
    DeviceResultFactory,
    JobFactory,
    JobRunFactory,
    TagFactory,
    ZoneFactory,
)
from tests.support.pages import few_queries, said

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


def filled_in(**values: Any) -> dict[str, Any]:
    """The form as a browser sends it."""
    return {
        "name": "nightly",
        "is_enabled": "on",
        "schedule_type": "none",
        "time_zone": "UTC",
        "catch_up": "run_once",
        "start_jitter_seconds": "0",
    } | values


def names(page: Any) -> list[str]:
    return [row["job"].name for row in page.context["rows"]]


def test_the_list_says_when_jobs_start_and_how_they_went(client: Client, operator: User) -> None:
    for number in range(8):
        job = JobFactory.create(
            name=f"job{number}",
            tags=[f"t{number}"],
            schedule_type="cron",
            cron="0 2 * * *",
            time_zone="Europe/Berlin",
        )
        JobRunFactory.create(job=job, status="CANCELLED", finished_at=timezone.now())
    with few_queries():
        page = client.get("/jobs/")
    assert names(page) == [f"job{number}" for number in range(8)]
    assert all(row["next_start"] > timezone.now() for row in page.context["rows"])
    assert b"At 02:00 every day (Europe/Berlin)" in page.content
    assert b"Cancelled" in page.content


@pytest.mark.parametrize(
    ("query", "expected"),
    [("q=NIGHT", ["nightly"]), ("tag=lab", ["lab"]), ("enabled=no", ["lab"]), ("tag=%00", [])],
)
def test_the_list_is_narrowed_by_its_address(
    client: Client, operator: User, query: str, expected: list[str]
) -> None:
    JobFactory.create(name="nightly")
    JobFactory.create(name="lab", tags=["lab"], is_enabled=False)
    assert names(client.get(f"/jobs/?{query}")) == expected


def test_an_empty_list_says_what_to_do(client: Client, operator: User) -> None:
    assert b"Add one" in client.get("/jobs/").content


# --- The form -----------------------------------------------------------------------------------


def test_a_job_is_made_with_its_schedule(client: Client, operator: User) -> None:
    TagFactory.create(name="core")
    form = filled_in(tags=["core"], schedule_type="cron", cron="30 3 * * *")
    answer = client.post("/jobs/add/", form)
    job = Job.objects.get(name="nightly")
    assert answer["Location"] == f"/jobs/{job.pk}/"
    assert [tag.name for tag in job.tags.all()] == ["core"]
    assert job.periodic_task is not None
    with few_queries():
        page = client.get(f"/jobs/{job.pk}/")
    assert len(page.context["starts"]) == 5
    assert {start.strftime("%H:%M") for start in page.context["starts"]} == {"03:30"}


def test_a_time_is_that_of_the_clocks_in_the_time_zone(client: Client, operator: User) -> None:
    form = filled_in(schedule_type="onetime", run_at="2030-07-01T12:00", time_zone="Asia/Tokyo")
    client.post("/jobs/add/", form)
    job = Job.objects.get()
    assert job.run_at == datetime(2030, 7, 1, 3, tzinfo=UTC)
    page = client.get(f"/jobs/{job.pk}/").content
    assert b'value="2030-07-01T12:00"' in page
    client.post(f"/jobs/{job.pk}/", form | {"description": "once"})
    job.refresh_from_db()
    assert (job.run_at, job.description) == (datetime(2030, 7, 1, 3, tzinfo=UTC), "once")


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"name": ""}, "name", "required"),
        ({"schedule_type": "cron", "cron": "61 * * * *"}, "cron", "61"),
        ({"schedule_type": "interval"}, "interval_seconds", "needs"),
        ({"schedule_type": "interval", "interval_seconds": "5"}, "interval_seconds", "60"),
        ({"schedule_type": "onetime", "run_at": "2001-01-01T00:00"}, "run_at", "in the past"),
        ({"schedule_type": "onetime", "run_at": "9999-12-31T23:59"}, "run_at", "too far"),
        ({"time_zone": "Mars/Base"}, "time_zone", "no time zone"),
        ({"blackouts": "some day"}, "blackouts", ""),
        ({"tags": ["gone"]}, "tags", "gone"),
        ({"name": "TAKEN"}, "__all__", "already a job with this name"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    client: Client, operator: User, values: dict[str, Any], field: str, words: str
) -> None:
    JobFactory.create(name="taken")
    page = client.post("/jobs/add/", filled_in(**values))
    assert page.status_code == 200
    assert words in str(page.context["form"].errors[field])
    assert Job.objects.count() == 1


def test_the_preview_says_when_and_on_how_many_devices(client: Client, operator: User) -> None:
    CredentialFactory.create(tags=["core"])
    for tags in (["core"], ["core", "edge"], ["edge"], ["lab"]):
        DeviceFactory.create(tags=tags)
    DeviceFactory.create(tags=["edge"], is_active=False)
    form = filled_in(
        name="", tags=["core", "edge"], schedule_type="interval", interval_seconds="3600"
    )
    with few_queries():
        preview = client.post("/jobs/preview/", form)
    assert b"<html" not in preview.content
    targets = preview.context["targets"]
    assert (targets.devices, targets.without_credential) == (3, 1)
    first, second, *others = preview.context["starts"]
    assert second - first == timedelta(hours=1)
    assert len(others) == 3
    assert not Job.objects.exists()


def test_the_preview_of_a_changed_schedule_begins_now(client: Client, operator: User) -> None:
    job = JobFactory.create(schedule_type="interval", interval_seconds=86400)
    Job.objects.update(scheduled_since=timezone.now() - timedelta(hours=3, minutes=7))
    form = filled_in(job=job.pk, schedule_type="interval", interval_seconds="7200")
    [first, *_] = client.post("/jobs/preview/", form).context["starts"]
    assert abs(first - timezone.now() - timedelta(hours=2)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "values",
    [
        {"job": "x"},
        {"cron": "nonsense", "schedule_type": "cron"},
        {"time_zone": ""},
        {"tags": "\0"},
    ],
)
def test_the_preview_bears_anything(client: Client, operator: User, values: dict[str, Any]) -> None:
    assert client.post("/jobs/preview/", values).status_code == 200


def test_devices_without_credentials_are_those_that_nothing_fits() -> None:
    inactive = CredentialFactory.create(tags=["old"])
    inactive.is_active = False
    inactive.save()
    own = CredentialFactory.create()
    zone = ZoneFactory.create(default_credential=own)
    CredentialFactory.create(tags=["core", "edge"])
    DeviceFactory.create(tags=["core", "edge"])
    DeviceFactory.create(tags=["old"])
    DeviceFactory.create(tags=["old"], credential=own)
    DeviceFactory.create(tags=["old"], zone=zone)
    DeviceFactory.create(credential=inactive, zone=ZoneFactory.create(default_credential=inactive))
    DeviceFactory.create()
    found = credential_candidates(device_ids=Device.objects.values_list("pk", flat=True))
    without = devices_without_credential(devices=Device.objects.all())
    assert {device.pk for device in without} == {pk for pk, fitting in found.items() if not fitting}
    assert without.count() == 3


# --- Deeds and who may --------------------------------------------------------------------------


def test_a_job_is_run_now(client: Client, operator: User) -> None:
    job = JobFactory.create(tags=["core"])
    DeviceFactory.create(tags=["core"])
    answer = client.post(f"/jobs/{job.pk}/run/")
    run = JobRun.objects.get()
    assert answer["Location"] == f"/runs/{run.pk}/"
    answer = client.post(f"/jobs/{job.pk}/run/", {"next": "/jobs/?q=x"})
    assert "is still PENDING" in said(answer)
    assert answer["Location"] == "/jobs/?q=x"


def test_a_deleted_job_leaves_its_runs(client: Client, operator: User) -> None:
    job = JobFactory.create()
    run = JobRunFactory.create(job=job)
    client.post(f"/jobs/{job.pk}/delete/")
    assert not Job.objects.exists()
    assert JobRun.objects.get() == run


def test_viewers_look_only(client: Client, log_in: Callable[..., User]) -> None:
    log_in(Role.VIEWER)
    job = JobFactory.create(name="nightly")
    for address in ("add/", f"{job.pk}/", f"{job.pk}/run/", f"{job.pk}/delete/"):
        assert client.post(f"/jobs/{address}", filled_in(name="x")).status_code == 403
    page = client.get(f"/jobs/{job.pk}/")
    assert b"You may look at this job and not change it" in page.content
    for words in (b"Run now", b"Delete", b">Save<"):
        assert words not in page.content
    job.refresh_from_db()
    assert job.name == "nightly"


def test_limited_users_change_jobs_of_their_tags_only(
    client: Client, log_in: Callable[..., User]
) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    theirs = JobFactory.create(name="wien", tags=["wien"])
    shared = JobFactory.create(name="all", tags=["wien", "berlin"])
    strange = JobFactory.create(name="berlin", tags=["berlin"])
    DeviceFactory.create(tags=["berlin"])
    DeviceFactory.create(tags=["wien"])
    DeviceResultFactory.create(
        device=Device.objects.get(tags__name="berlin"), run=JobRunFactory.create(job=shared)
    )
    page = client.get("/jobs/")
    assert names(page) == ["all", "wien"]
    assert page.context["rows"][0]["job"].last_run is None, "that run had no device of theirs"
    assert client.get(f"/jobs/{strange.pk}/").status_code == 404
    assert client.post(f"/jobs/{shared.pk}/", filled_in()).status_code == 403
    assert client.post(f"/jobs/{shared.pk}/delete/").status_code == 403
    assert client.get(f"/jobs/{shared.pk}/").context["targets"].devices == 1
    for tags in ([], ["berlin"]):
        page = client.post(f"/jobs/{theirs.pk}/", filled_in(tags=tags))
        assert "tags" in page.context["form"].errors
    client.post(f"/jobs/{theirs.pk}/", filled_in(name="vienna", tags=["wien"]))
    theirs.refresh_from_db()
    assert theirs.name == "vienna"
    for deed in ("run", "delete"):
        assert client.post(f"/jobs/{strange.pk}/{deed}/").status_code == 404
