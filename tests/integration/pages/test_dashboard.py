"""The first page, and the page of freshness."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import F
from django.test import Client
from django.utils import timezone

from backups.models import Snapshot
from backups.selectors.freshness import Freshness, devices_in_state, with_freshness
from backups.services.store import RunLabel, backup_store
from credentials.models import Tag
from inventory.models import Device
from jobs.models import JobRun
from netraven_site.accounts.roles import Role
from tests.factories import (
    DeviceFactory,
    DeviceResultFactory,
    JobRunFactory,
    UserFactory,
    backup_outcome,
)
from tests.support.pages import few_queries, part

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]

_COMMITTED = {"state": "COMMITTED", "commit": "c" * 40, "pending_text": ""}


def backed_up(device: Device, *, ago: timedelta = timedelta(), changes: str = "") -> None:
    backup_store(device=device, outcome=backup_outcome(), label=RunLabel(run_id=1, job_name="x"))
    then = timezone.now() - ago
    Snapshot.objects.filter(device=device).update(
        collected_at=then, last_read_at=then, change_digest=changes, **_COMMITTED
    )


@pytest.fixture
def network() -> dict[str, Device]:
    """Two devices in Berlin, one of them stale and failing, and one in Wien, never backed up."""
    good = DeviceFactory.create(hostname="good", tags=["berlin"])
    stale = DeviceFactory.create(hostname="stale", tags=["berlin"])
    never = DeviceFactory.create(hostname="never", tags=["wien"], has_unsaved_config=True)
    Tag.objects.update(freshness_hours=24)
    backed_up(good, ago=timedelta(minutes=1), changes="d" * 64)
    backed_up(stale, ago=timedelta(days=3), changes="e" * 64)
    backup_store(
        device=never,
        outcome=backup_outcome(suspicions=("it is empty",)),
        label=RunLabel(run_id=1, job_name="x"),
    )
    run = JobRunFactory.create(job_name="nightly")
    for device, category in ((stale, "authentication"), (never, "<script>")):
        DeviceResultFactory.create(
            run=run,
            device=device,
            status="FAILED",
            error_category=category,
            finished_at=timezone.now(),
        )
    old = JobRunFactory.create(job_name="long ago")
    JobRun.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=2))
    return {"good": good, "stale": stale, "never": never}


def shares(page: Any) -> dict[str, int]:
    return {share["state"]: share["count"] for share in page.context["freshness"]["shares"]}


def test_everything_is_seen_at_a_glance(
    client: Client, operator: User, network: dict[str, Device]
) -> None:
    with few_queries():
        page = client.get("/")
    assert shares(page) == {"fresh": 1, "stale": 1, "never": 1, "no_objective": 0}
    assert page.context["freshness"]["percent"] == 33
    assert [run.job_name for run in page.context["runs"]] == ["nightly"]
    assert [cause.count for cause in page.context["failures"]] == [1, 1]
    changes = page.context["changes_chart"]["values"]
    assert (len(changes), changes[-1] + changes[-2], sum(changes)) == (14, 1, 2)
    assert page.context["suspects"].count == 1
    assert b"1 with a running-config that is not saved" in page.content
    assert b"<script>alert" not in page.content


def test_charts_have_their_figures_as_data_and_as_tables(
    client: Client, operator: User, network: dict[str, Device]
) -> None:
    text = client.get("/").content.decode()
    for name in ("nr-changes-data", "nr-failures-data"):
        assert f'<script id="{name}" type="application/json">' in text
        assert f'data-chart="{name}"' in text
    assert text.count("As a table") == 2


def test_queues_and_workers_come_by_themselves(client: Client, operator: User) -> None:
    with few_queries():
        work = client.get("/", headers=part("nr-work"))
    assert b"devices" in work.content
    assert b"Nobody serves it" in work.content
    assert b"<html" not in work.content


def test_an_empty_installation_says_where_to_begin(client: Client, operator: User) -> None:
    page = client.get("/")
    assert b"There are no active devices yet" in page.content
    assert page.context["freshness"]["percent"] is None


def test_limited_users_see_their_part(
    client: Client, log_in: Callable[..., User], network: dict[str, Device]
) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    with few_queries():
        page = client.get("/")
    assert shares(page) == {"fresh": 0, "stale": 0, "never": 1, "no_objective": 0}
    assert sum(page.context["changes_chart"]["values"]) == 0
    assert [cause.count for cause in page.context["failures"]] == [1]
    assert b"Queues and workers" not in page.content
    assert client.get("/", headers=part("nr-work")).context["facts"] is None


def test_without_a_role_there_is_nothing_to_see(client: Client, network: dict[str, Device]) -> None:
    assert client.get("/")["Location"] == "/admin/login/?next=/"
    client.force_login(UserFactory.create(is_staff=True))
    page = client.get("/")
    assert b"Your role includes none" in page.content
    assert all(name not in page.context for name in ("runs", "freshness", "failures"))


# --- Freshness ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["stale", "good", "never"]),
        ("freshness=stale", ["stale"]),
        ("freshness=never", ["never"]),
        ("overdue=yes", ["stale"]),
        ("overdue=no", ["good", "never"]),
        ("tag=wien", ["never"]),
        ("q=GOO", ["good"]),
        ("tag=%00", []),
    ],
)
def test_devices_by_the_age_of_their_backups(
    client: Client, operator: User, network: dict[str, Device], query: str, expected: list[str]
) -> None:
    with few_queries():
        page = client.get(f"/freshness/?{query}")
    assert [device.hostname for device in page.context["page_obj"]] == expected


@pytest.mark.parametrize("state", list(Freshness))
def test_devices_in_a_state_are_those_that_say_so(
    network: dict[str, Device], state: Freshness, configure: Callable[..., None]
) -> None:
    configure(freshness_hours=0)
    backed_up(DeviceFactory.create(hostname="free", tags=["lab"]))
    devices = with_freshness(devices=Device.objects.all(), of_all=True)
    said = [device.hostname for device in devices if device.freshness == state]
    assert len(said) == 1
    found = devices_in_state(devices=devices, state=state)
    assert [device.hostname for device in found] == said
    quick = dict(devices.values_list("hostname", F("due_of_all")))
    assert quick == {device.hostname: device.due_at for device in devices}


def test_without_an_objective_a_device_is_in_time(
    client: Client, operator: User, network: dict[str, Device], configure: Callable[..., None]
) -> None:
    configure(freshness_hours=0)
    DeviceFactory.create(hostname="free", tags=["lab"])
    page = client.get("/freshness/?overdue=no&q=free")
    assert [device.hostname for device in page.context["page_obj"]] == ["free"]


def test_the_list_of_devices_knows_freshness_too(
    client: Client, operator: User, network: dict[str, Device]
) -> None:
    page = client.get("/devices/?freshness=stale")
    assert [device.hostname for device in page.context["page_obj"]] == ["stale"]
    assert b"Overdue" in page.content


def test_freshness_is_limited_too(
    client: Client, log_in: Callable[..., User], network: dict[str, Device]
) -> None:
    log_in(Role.VIEWER, only=("wien",))
    page = client.get("/freshness/")
    assert [device.hostname for device in page.context["page_obj"]] == ["never"]
    with few_queries():
        report = client.get("/freshness/", headers=part("nr-report"))
    assert [row.tag for row in report.context["report"].tags] == ["wien"]
    assert b"1 never backed up" in report.content
