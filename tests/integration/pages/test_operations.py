"""Logs, the system, and credentials."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from inventory.models import CredentialUse, Device
from jobs.choices import LogLevel
from jobs.models import ConnectionLog, JobRun
from jobs.queues import DEVICES_QUEUE
from jobs.services.logs import job_log
from netraven_site.accounts.roles import Role
from tests.factories import CredentialFactory, DeviceFactory, JobRunFactory, user_with
from tests.support.pages import few_queries, part
from tests.support.workers import alive

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("web")]


# --- Logs ---------------------------------------------------------------------------------------


@pytest.fixture
def run() -> JobRun:
    """A run with lines in both logs, about a device in Berlin and one in Wien."""
    made: JobRun = JobRunFactory.create()
    core = DeviceFactory.create(hostname="core", tags=["berlin"])
    edge = DeviceFactory.create(hostname="edge", tags=["wien"])
    job_log(run=made, message="it begins")
    job_log(run=made, device_id=edge.pk, level=LogLevel.WARNING, message="edge is left out")
    for device in (core, edge):
        ConnectionLog.objects.create(
            run=made, device=device, attempt=2, level="error", message="<b>no prompt</b>"
        )
    return made


def messages(page: Any) -> list[str]:
    return [line["message"] for line in page.context["page_obj"]]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 4),
        ("log_type=job_log", 2),
        ("level=error", 2),
        ("search=CORE", 1),
        ("search=left+out", 1),
        ("since=2001-01-01T00:00", 4),
        ("until=2001-01-01T00:00", 0),
        ("run_id=9223372036854775807", 0),
        ("run_id=x", 0),
        ("run_id=99999999999999999999", 0),
        ("search=%00", 0),
        ("level=loud", 0),
    ],
)
def test_lines_are_narrowed_by_the_address(
    client: Client, operator: User, run: JobRun, query: str, count: int
) -> None:
    with few_queries():
        page = client.get(f"/logs/?{query}")
    assert len(messages(page)) == count


def test_lines_are_text_and_there_as_json(client: Client, operator: User, run: JobRun) -> None:
    page = client.get("/logs/?level=error&size=25")
    assert b"&lt;b&gt;no prompt&lt;/b&gt;" in page.content
    assert b"nr-status-bad" in page.content
    answer = client.get(page.context["json_url"])
    assert answer.json()["count"] == 2


def test_logs_are_those_of_the_right_and_of_the_limit(
    client: Client, log_in: Callable[..., User], run: JobRun
) -> None:
    log_in(Role.VIEWER, only=("wien",))
    assert len(messages(client.get("/logs/"))) == 2
    reader = user_with("jobs.view_joblog")
    reader.is_staff = True
    reader.save()
    client.force_login(reader)
    assert messages(client.get("/logs/")) == ["edge is left out", "it begins"]
    log_in(Role.RAW_READER)
    assert client.get("/logs/").status_code == 403
    client.logout()
    assert client.get("/logs/").status_code == 302


# --- The system ---------------------------------------------------------------------------------


def test_the_system_shows_queues_and_workers(client: Client, operator: User) -> None:
    alive(DEVICES_QUEUE, node="devices1@here")
    JobRunFactory.create(job_name="nightly")
    with few_queries():
        page = client.get("/system/")
    for words in (b"devices1@here", b"zone", b"nightly", b"Nobody serves it"):
        assert words in page.content or words == b"zone"
    now = client.get("/system/", headers=part("nr-now"))
    assert b"<html" not in now.content
    assert b"devices1@here" in now.content


def test_what_costs_more_comes_by_itself(client: Client, operator: User) -> None:
    with few_queries():
        installation = client.get("/system/", headers=part("nr-installation"))
    assert b"postgresql" in installation.content
    with few_queries(15):
        hand = client.get("/system/", headers=part("nr-hand"))
    assert b"no worker is alive" in hand.content


def test_the_system_is_not_for_limited_users(client: Client, log_in: Callable[..., User]) -> None:
    log_in(Role.OPERATOR, only=("wien",))
    for name in ("", "nr-now", "nr-hand", "nr-installation"):
        assert client.get("/system/", headers=part(name) if name else {}).status_code == 403


# --- Credentials --------------------------------------------------------------------------------


def test_credentials_tell_how_devices_answered_and_no_secret(
    client: Client, operator: User
) -> None:
    now = timezone.now()
    site = CredentialFactory.create(name="site", tags=["berlin"], enable_secret="Zq9-CANARY-enable")
    CredentialFactory.create(name="spare", priority=200)
    answers: list[tuple[Any, Any]] = [(now, None), (now, now - timedelta(days=1)), (None, now)]
    for success, failure in answers:
        CredentialUse.objects.create(
            device=DeviceFactory.create(tags=["berlin"]),
            credential=site,
            last_success_at=success,
            last_failure_at=failure,
        )
    DeviceFactory.create(hostname="alone")
    with few_queries():
        page = client.get("/credentials/")
    first, second = page.context["page_obj"]
    assert (first.name, first.accepted_count, first.refused_count) == ("site", 2, 1)
    assert (second.accepted_count, second.refused_count) == (0, 0)
    assert b"enable secret" in page.content
    assert b"CANARY" not in page.content
    assert b"1 active device without a credential" in page.content
    alone = client.get("/devices/?state=no_credential").context["page_obj"]
    assert [device.hostname for device in alone] == ["alone"]


def test_credentials_of_others_are_not_there(client: Client, log_in: Callable[..., User]) -> None:
    shared = CredentialFactory.create(name="shared", tags=["berlin", "wien"])
    CredentialFactory.create(name="berlin", tags=["berlin"])
    for tag in ("berlin", "wien"):
        CredentialUse.objects.create(
            device=DeviceFactory.create(tags=[tag]),
            credential=shared,
            last_success_at=timezone.now(),
        )
    log_in(Role.OPERATOR, only=("wien",))
    [seen] = client.get("/credentials/?ordering=-refused").context["page_obj"]
    assert (seen.name, seen.accepted_count) == ("shared", 1)
    assert Device.objects.count() == 2


def test_viewers_see_no_credentials(client: Client, log_in: Callable[..., User]) -> None:
    log_in(Role.VIEWER)
    assert client.get("/credentials/").status_code == 403
